"""Makes `golden.json`: what the package borzoi-pytorch computes from seeded weights. Command and versions: README.md.

Weights and inputs are not stored: `draw_weights` and `draw_input` make them from seeds, and the tests call them too. The
package needs `transformers` for its base classes alone; where that is absent, two classes without arithmetic take their place.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent
SIZES = {"width": 96, "depth": 2, "heads": 4, "key_width": 16}
POSITIONS, BINS, KEPT_TRACKS = 2048, 40, 16
ROWS = slice(0, BINS, 7)  # bins whose values are stored


def draw_weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Random weights of moderate size for every named tensor; no two alike, variances positive."""
    weights = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(number)
            continue
        values = torch.randn(shape, generator=torch.Generator().manual_seed(number))
        if name.endswith("running_var"):
            weights[name] = (values / 4).exp()
        elif len(shape) > 1 and "bias" not in name:
            weights[name] = values / float(np.prod(shape[1:])) ** 0.5
        else:
            weights[name] = values / 4
    return weights


def draw_input(positions: int = POSITIONS, batch: int = 2) -> torch.Tensor:
    """One-hot DNA, (batch, position, 4), one base in sixteen unknown."""
    bases = np.random.default_rng([8, positions]).integers(0, 64, (batch, positions))
    return torch.tensor(np.where(bases[..., None] < 60, np.eye(4)[bases % 4], 0.0), dtype=torch.float32)


def package() -> types.ModuleType:
    """The package's module of the network."""
    if "transformers" not in sys.modules and importlib.util.find_spec("transformers") is None:
        stand_in = types.ModuleType("transformers")

        class Config:
            def __init__(self, **others: object) -> None:
                self.__dict__.update(others)

        class Model(torch.nn.Module):
            def __init__(self, config: object) -> None:
                super().__init__()
                self.config = config

            def post_init(self) -> None:
                """The real one draws first weights; all are replaced here."""

        stand_in.PretrainedConfig, stand_in.PreTrainedModel = Config, Model  # type: ignore[attr-defined]
        sys.modules["transformers"] = stand_in
    return importlib.import_module("borzoi_pytorch.pytorch_borzoi_model")


def reference() -> torch.nn.Module:
    """The package's network with the drawn weights, in evaluation mode."""
    module = package()
    network = module.Borzoi.from_hparams(
        dim=SIZES["width"],
        depth=SIZES["depth"],
        heads=SIZES["heads"],
        attn_dim_key=SIZES["key_width"],
        attn_dim_value=SIZES["width"] // SIZES["heads"],
        enable_mouse_head=True,
        bins_to_return=BINS,
        flashed=False,
    )
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    network.load_state_dict(draw_weights(shapes))
    return network.eval()


@torch.no_grad()
def main() -> None:
    """Writes `golden.json`."""
    torch.set_num_threads(1)
    network, x = reference(), draw_input()
    outputs = {
        name: network(x.mT, is_human=name == "human").mT[:, ROWS, :KEPT_TRACKS].tolist() for name in ("human", "mouse")
    }
    with torch.device("meta"):
        published = package().Borzoi.from_hparams(enable_mouse_head=True)
    golden = {
        "shapes": {name: list(tensor.shape) for name, tensor in network.state_dict().items()},
        "published_shapes": {name: list(tensor.shape) for name, tensor in published.state_dict().items()},
        "outputs": outputs,
    }
    (FOLDER / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
