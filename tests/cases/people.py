"""Simulated individuals for training: short windows, one causal base a gene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from varfx.models.expression import ExpressionNetwork, ExpressionNetworkConfig
from varfx.training.people.batches import Part

WINDOW = 64


@dataclass(eq=False)
class Simulated:
    """`GeneBatches` of random windows; the last individuals are for tuning."""

    num_genes: int = 2
    num_people: int = 20
    num_tune: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        base = rng.integers(0, 4, (self.num_genes, WINDOW))
        self.dosage = rng.integers(0, 3, (self.num_genes, self.num_people, 6))
        places = np.stack([rng.choice(WINDOW, 6, replace=False) for _ in range(self.num_genes)])
        x = np.eye(4)[base][:, None].repeat(self.num_people, 1)
        for gene in range(self.num_genes):
            for j, place in enumerate(places[gene]):
                x[gene, :, place] = 0
                x[gene, :, place, base[gene, place]] += 1 - self.dosage[gene, :, j] / 2
                x[gene, :, place, (base[gene, place] + 1) % 4] += self.dosage[gene, :, j] / 2
        y = self.dosage[:, :, 0] - 1 + rng.standard_normal((self.num_genes, self.num_people)) * 0.5
        self.x = torch.from_numpy(x).float()
        self.y = torch.from_numpy((y - y.mean(1, keepdims=True)) / y.std(1, keepdims=True)).float()
        self.seen: list[tuple[int, list[int], bool, int]] = []

    def people(self, gene: int, part: Part) -> np.ndarray:
        cut = self.num_people - self.num_tune
        return np.arange(self.num_people)[slice(0, cut) if part == "train" else slice(cut, None)]

    def targets(self, gene: int, rows: np.ndarray) -> Tensor:
        return self.y[gene, rows]

    def encode(
        self, gene: int, rows: np.ndarray, device: torch.device, *, reverse_complement: bool = False, shift: int = 0
    ) -> Tensor:
        self.seen.append((gene, rows.tolist(), reverse_complement, shift))
        x = self.x[gene, rows].roll(-shift, 1)
        return (x.flip(1, 2) if reverse_complement else x).to(device)


class InFloat64(Simulated):
    """The same in double precision."""

    def encode(
        self, gene: int, rows: np.ndarray, device: torch.device, *, reverse_complement: bool = False, shift: int = 0
    ) -> Tensor:
        x = super().encode(gene, rows, device, reverse_complement=reverse_complement, shift=shift)
        return x.double()


def assert_close(one: nn.Module, other: nn.Module) -> None:
    """Every weight and statistic is the same to 1e-6 of the tensor's largest."""
    for (name, value), expected in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        scale = float(expected.abs().max()) or 1.0
        torch.testing.assert_close(
            value, expected, rtol=0, atol=1e-6 * scale, msg=lambda text, name=name: f"{name}: {text}"
        )


def small_network(**changes: object) -> ExpressionNetwork:
    """Bins of 8 bases, no dropout unless asked for."""
    plain = {"dropout": 0.0, "attention_dropout": 0.0, "position_dropout": 0.0, "norm": "running"}
    sizes = {"window": WINDOW, "width": 12, "depth": 1, "num_downsamples": 3}
    return ExpressionNetwork(ExpressionNetworkConfig(**{**sizes, **plain, **changes}))  # type: ignore[arg-type]


def lively(network: ExpressionNetwork) -> ExpressionNetwork:
    """Nothing that starts at 0 is 0, so that every weight has a gradient at once."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("to_out.weight", "to_out.base.weight", ".up", "head.weight")):
                parameter.normal_(generator=generator)
    return network
