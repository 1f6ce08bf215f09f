"""Makes `golden.json`: what the package enformer-pytorch computes from seeded weights. Command and versions: README.md.

Weights and inputs are not stored: `draw_weights` and `draw_input` make them from seeds, and the tests call them too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent
SIZES = {"width": 48, "depth": 2, "heads": 4, "num_downsamples": 3}
WIDTH_MULTIPLE = 8
HEADS = {"human": 3, "mouse": 2}
CASES = {  # positions, target_length, training mode
    "even": (192, None, False),
    "odd": (187, None, False),
    "cropped": (200, 9, False),
    "training": (120, None, True),
}
GAMMA_ROWS = [0, 700, 1400, 1530, 1535, 1536, 1600, 3000]


def draw_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Random weights of moderate size for every named tensor; no two alike, variances positive."""
    weights = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        values = np.random.default_rng([7, number]).standard_normal(shape)
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(number)
            continue
        if name.endswith("running_var"):
            values = np.exp(values / 4)
        elif len(shape) > 1 and "bias" not in name:
            values = values / np.prod(shape[1:]) ** 0.5
        else:
            values = values / 4
        weights[name] = torch.tensor(values, dtype=torch.float32)
    return weights


def draw_input(positions: int, batch: int = 2) -> torch.Tensor:
    """One-hot DNA, (batch, position, 4)."""
    bases = np.random.default_rng([8, positions]).integers(0, 4, (batch, positions))
    return torch.tensor(np.eye(4, dtype=np.float32)[bases])


def reference(target_length: int | None) -> torch.nn.Module:
    """The package's network with the drawn weights and no dropout."""
    from enformer_pytorch import Enformer

    network = Enformer.from_hparams(
        dim=SIZES["width"],
        depth=SIZES["depth"],
        heads=SIZES["heads"],
        num_downsamples=SIZES["num_downsamples"],
        dim_divisible_by=WIDTH_MULTIPLE,
        output_heads=HEADS,
        target_length=-1 if target_length is None else target_length,
        dropout_rate=0.0,
        attn_dropout=0.0,
        pos_dropout=0.0,
    )
    short = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if "_trunk" not in name}
    network.load_state_dict(draw_weights(short), strict=False)
    return network


def main() -> None:
    """Writes `golden.json`."""
    import enformer_pytorch.modeling_enformer as package

    torch.set_num_threads(1)
    cases = {}
    for case, (positions, target_length, training) in CASES.items():
        network = reference(target_length).train(training)
        output = network(draw_input(positions))
        sum(values.square().mean() for values in output.values()).backward()
        cases[case] = {
            "output": {name: values.tolist() for name, values in output.items()},
            "gradient_norm": {name: float(value.grad.norm()) for name, value in network.named_parameters()},
            "statistics": {
                name: values.tolist()
                for name, values in network.state_dict().items()
                if name.startswith("conv_tower.1.0.0.") and training
            },
        }
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items() if "_trunk" not in name}
    published = package.Enformer.from_hparams()
    golden = {
        "shapes": shapes,
        "published_parameters": sum(value.numel() for value in published.parameters()),
        "tensorflow_gammas": {str(row): package.TF_GAMMAS[row].tolist() for row in GAMMA_ROWS},
        "cases": cases,
    }
    (FOLDER / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
