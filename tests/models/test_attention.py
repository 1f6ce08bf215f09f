"""Relative attention against loops over single positions in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from varfx.models.attention import RelativeAttention, by_position, position_basis

CPU = torch.device("cpu")


def attention(width: int = 24, heads: int = 2, key_width: int = 5) -> RelativeAttention:
    module = RelativeAttention(width, heads=heads, key_width=key_width, dropout=0.0, position_dropout=0.0).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=generator).mul_(0.4)
    return module


def slow_attention(module: RelativeAttention, x: Tensor, basis: Tensor) -> Tensor:
    """The equation of the module's head, one query and one key at a time."""
    positions, width = x.shape
    heads, key_width = module.heads, module.to_q.weight.shape[0] // module.heads
    value_width = width // heads
    gathered = torch.zeros(positions, width, dtype=torch.float64)
    for head in range(heads):
        keys = slice(head * key_width, (head + 1) * key_width)
        values = slice(head * value_width, (head + 1) * value_width)
        u, v = module.rel_content_bias[0, head, 0], module.rel_pos_bias[0, head, 0]
        for i in range(positions):
            query = module.to_q.weight[keys] @ x[i] / math.sqrt(key_width)
            logits = []
            for j in range(positions):
                key = module.to_k.weight[keys] @ x[j]
                relative = module.to_rel_k.weight[keys] @ basis[j - i + positions - 1]
                logits.append((query + u) @ key + (query + v) @ relative)
            total = sum(math.exp(float(logit)) for logit in logits)
            for j in range(positions):
                gathered[i, values] += math.exp(float(logits[j])) / total * (module.to_v.weight[values] @ x[j])
    return gathered @ module.to_out.weight.T + module.to_out.bias


@pytest.mark.parametrize("positions", [1, 2, 7])
@torch.no_grad()
def test_attention_is_the_equation(positions: int) -> None:
    module = attention()
    x = torch.randn(2, positions, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    basis = position_basis(positions, 12, "distance", CPU).double()
    output = module(x, basis, slice(0, positions, 1))
    for sample in range(2):
        torch.testing.assert_close(output[sample], slow_attention(module, x[sample], basis), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rows", [slice(0, 1, 1), slice(3, 4, 1), slice(6, 7, 1), slice(2, 6, 1), slice(0, 7, 1)])
@torch.no_grad()
def test_some_rows_are_those_of_all(rows: slice) -> None:
    module = attention()
    x = torch.randn(2, 7, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    basis = position_basis(7, 12, "distance", CPU).double()
    everything = module(x, basis, slice(0, 7, 1))
    torch.testing.assert_close(module(x, basis, rows), everything[:, rows], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (1, 5), (2, 2), (3, 5), (5, 5)])
def test_by_position_reads_the_distance_of_each_pair(rows: int, length: int) -> None:
    by_distance = torch.arange(2 * rows * (length + rows - 1)).reshape(2, rows, length + rows - 1)
    shifted = by_position(by_distance, length)
    assert shifted.shape == (2, rows, length)
    for row in range(rows):
        for position in range(length):
            assert torch.equal(shifted[:, row, position], by_distance[:, row, position + rows - 1 - row])


def gamma_density(distance: int, mean: float, deviation: float) -> float:
    shape, rate = (mean / deviation) ** 2, mean / deviation**2
    if distance == 0:
        return 1e-8
    log_density = (shape - 1) * math.log(distance) - rate * distance + shape * math.log(rate) - math.lgamma(shape)
    return math.exp(log_density) + 1e-8


@pytest.mark.parametrize("gamma_scale", ["distance", "function"])
def test_basis_is_the_formula(gamma_scale: str) -> None:
    length, count = 20, 3
    basis = position_basis(length, 6 * count, gamma_scale, CPU)  # type: ignore[arg-type]
    assert basis.shape == (2 * length - 1, 6 * count)
    means = [length / count + k * (length - length / count) / (count - 1) for k in range(count)]
    densities = {d: [gamma_density(d, mean, length / (2 * count)) for mean in means] for d in range(length)}
    for distance in range(-length + 1, length):
        d, row = abs(distance), []
        for k in range(count):
            half_life = 2 ** (3 + k * (math.log2(length) - 3) / (count - 1))
            row.append(2 ** (-d / half_life))
        row += [float(d < 2 ** (k + 1) - 1) for k in range(count)]
        for k in range(count):
            largest = max(densities[d]) if gamma_scale == "distance" else max(densities[e][k] for e in range(length))
            row.append(densities[d][k] / largest)
        sign = (distance > 0) - (distance < 0)
        expected = torch.tensor(row + [sign * value for value in row])
        torch.testing.assert_close(basis[distance + length - 1], expected, rtol=1e-4, atol=1e-6)


def test_basis_made_under_inference_mode_can_train() -> None:
    with torch.inference_mode():
        position_basis(9, 12, "distance", CPU)
    module = attention().float()
    x = torch.randn(1, 9, 24, generator=torch.Generator().manual_seed(1))
    module(x, position_basis(9, 12, "distance", CPU), slice(0, 9, 1)).square().sum().backward()
    assert module.to_rel_k.weight.grad is not None
    assert bool(module.to_rel_k.weight.grad.abs().sum() > 0)


def test_dropout_acts_in_training_only() -> None:
    module = RelativeAttention(24, heads=2, key_width=5, dropout=0.5, position_dropout=0.5)
    with torch.no_grad():
        module.to_out.weight.fill_(0.1)
    x = torch.randn(1, 9, 24, generator=torch.Generator().manual_seed(1))
    basis, rows = position_basis(9, 12, "distance", CPU), slice(0, 9, 1)
    assert not torch.equal(module(x, basis, rows), module(x, basis, rows))
    module.eval()
    assert torch.equal(module(x, basis, rows), module(x, basis, rows))
