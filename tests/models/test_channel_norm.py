"""Normalisation: what each policy computes, and that its statistics do not depend on how a step is cut."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from varfx.errors import DataError
from varfx.models.channel_norm import ChannelNorm, calibration, fold_statistics, unobserved

CHANNELS = 5


def values(batch: int = 12, seed: int = 1) -> Tensor:
    x = torch.randn(batch, CHANNELS, 7, generator=torch.Generator().manual_seed(seed))
    return x * torch.arange(1, CHANNELS + 1)[:, None] + torch.linspace(-30, 30, CHANNELS)[:, None]


def norm(policy: str, momentum: float = 0.1) -> ChannelNorm:
    module = ChannelNorm(CHANNELS, policy, momentum=momentum)  # type: ignore[arg-type]
    with torch.no_grad():
        module.weight.copy_(torch.linspace(0.5, 2, CHANNELS))
        module.bias.copy_(torch.linspace(-1, 1, CHANNELS))
    return module


@pytest.mark.parametrize("training", [True, False])
def test_batch_is_the_batch_norm_of_torch(training: bool) -> None:
    module, torchs = norm("batch"), nn.BatchNorm1d(CHANNELS)
    torchs.load_state_dict(module.state_dict())
    module.train(training)
    torchs.train(training)
    for seed in range(3):
        assert torch.equal(module(values(seed=seed)), torchs(values(seed=seed)))
    assert all(torch.equal(tensor, torchs.state_dict()[name]) for name, tensor in module.state_dict().items())


def test_batch_statistics_of_one_value_are_an_error() -> None:
    with pytest.raises(
        DataError, match=r"`norm` = batch needs 2 values a channel in training, got input of shape .1, 5, 1"
    ):
        norm("batch").train()(values()[:1, :, :1])
    assert norm("batch").eval()(values()[:1, :, :1]).shape == (1, CHANNELS, 1)


@pytest.mark.parametrize("policy", ["running", "frozen"])
def test_statistics_stay_as_they_are_during_a_step(policy: str) -> None:
    module = norm(policy)
    trained = module.train()(values())
    assert torch.equal(trained, module.eval()(values()))
    expected = values() / (1 + 1e-5) ** 0.5 * module.weight[:, None] + module.bias[:, None]
    torch.testing.assert_close(trained, expected)


def test_layer_normalises_each_position() -> None:
    module, x = norm("layer"), values()
    assert set(module.state_dict()) == {"weight", "bias"}
    centred = x - x.mean(dim=1, keepdim=True)
    expected = centred / (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
    expected = expected * module.weight[:, None] + module.bias[:, None]
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_fold_takes_the_statistics_of_the_whole_step(cut: int) -> None:
    module = norm("running", momentum=0.25)
    torchs = nn.BatchNorm1d(CHANNELS)
    for step in range(6):
        for part in values(seed=step).split(cut):
            module(part)
        fold_statistics(module)
        torchs.momentum = max(0.25, 1 / (step + 1))  # plain averages first
        torchs(values(seed=step))
        torch.testing.assert_close(module.running_mean, torchs.running_mean, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(module.running_var, torchs.running_var, rtol=2e-6, atol=1e-6)
    assert module.num_batches_tracked == 6


def test_fold_without_passes_changes_nothing() -> None:
    module = norm("running")
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    fold_statistics(module)
    module(values()[:0])
    fold_statistics(module)
    module.eval()(values())  # evaluation is not observed
    fold_statistics(module)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_fold_over_processes_is_that_of_one() -> None:
    one, first, second, idle = (norm("running") for _ in range(4))
    one(values())
    fold_statistics(one)
    first(values()[:4])
    second(values()[4:])
    seen: list[Tensor] = []
    first.fold(lambda pending: seen.append(pending.clone()))
    second.fold(lambda pending: pending.add_(seen[0]))
    torch.testing.assert_close(second.running_mean, one.running_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(second.running_var, one.running_var, rtol=1e-6, atol=1e-6)
    idle.fold(lambda pending: pending.add_(seen[0]))  # a process that had no window joins in
    assert torch.equal(idle.running_mean, first.running_mean)


def test_other_policies_fold_nothing() -> None:
    for policy in ("batch", "frozen", "layer"):
        module = norm(policy).eval()
        module(values())
        before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        fold_statistics(module)
        assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("policy", ["batch", "running"])
def test_unobserved_passes_leave_no_trace_and_compute_the_same(policy: str) -> None:
    module = norm(policy)
    seen = module(values())
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with unobserved(module):
        repeated = module(values())
    assert torch.equal(seen, repeated)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    fold_statistics(module)
    once = norm(policy)
    once(values())
    fold_statistics(once)
    assert torch.equal(module.running_mean, once.running_mean)


@pytest.mark.parametrize("policy", ["batch", "running", "frozen"])
@pytest.mark.parametrize("training", [True, False])
def test_calibration_sets_and_uses_the_statistics_of_the_pass(policy: str, training: bool) -> None:
    convolution = nn.Conv1d(CHANNELS, CHANNELS, 1)
    with torch.no_grad():
        convolution.weight.normal_(generator=torch.Generator().manual_seed(2))
        convolution.bias.zero_()  # type: ignore[union-attr]
    network = nn.Sequential(norm(policy), convolution, norm(policy)).train(training)
    with torch.no_grad(), calibration(network):
        calibrated = network(values())
    torch.testing.assert_close(calibrated.mean(dim=(0, 2)), torch.linspace(-1, 1, CHANNELS), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        calibrated.std(dim=(0, 2), correction=0), torch.linspace(0.5, 2, CHANNELS), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(network.eval()(values()), calibrated, rtol=1e-6, atol=1e-6)
    fold_statistics(network)  # the pass was no part of a step
    torch.testing.assert_close(network(values()), calibrated, rtol=1e-6, atol=1e-6)


def test_reset_forgets() -> None:
    module = norm("running")
    module(values())
    module.reset()
    fold_statistics(module)
    assert all(
        torch.equal(tensor, ChannelNorm(CHANNELS, "running").state_dict()[n])
        for n, tensor in module.state_dict().items()
    )
