"""The rule behind every `--device`, with pretended GPUs."""

from __future__ import annotations

import pytest
import torch

from varfx.device import (
    check_device,
    check_several,
    device_in_turn,
    find_device,
    find_float64_device,
    for_float64,
    numbered,
)
from varfx.errors import ConfigError


def pretend(monkeypatch: pytest.MonkeyPatch, gpus: int, *, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: gpus - 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("gpus", "name", "expected"),
    [
        (0, "auto", "cpu"),
        (0, "cpu", "cpu"),
        (2, "auto", "cuda:0"),
        (2, "cuda", "cuda:0"),
        (2, "cuda:1", "cuda:1"),
        (2, "cpu", "cpu"),
    ],
)
def test_names(monkeypatch: pytest.MonkeyPatch, gpus: int, name: str, expected: str) -> None:
    pretend(monkeypatch, gpus)
    assert find_device(name) == torch.device(expected)  # cuda:0, not cuda: these are unequal


def test_works_take_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 2)
    assert [str(device_in_turn("auto", number)) for number in range(4)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert {str(device_in_turn("cuda:1", number)) for number in range(3)} == {"cuda:1"}
    pretend(monkeypatch, 0)
    assert {str(device_in_turn("auto", number)) for number in range(3)} == {"cpu"}
    with pytest.raises(ConfigError, match="finds no GPU"):
        device_in_turn("cuda", 1)


def test_mps_is_taken_only_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0, mps=True)
    assert find_device() == torch.device("cpu")
    assert find_device("mps") == torch.device("mps")
    assert for_float64(torch.device("mps")) == torch.device("cpu")
    assert for_float64(torch.device("cuda", 1)) == torch.device("cuda", 1)


@pytest.mark.parametrize(("capability", "slow"), [((9, 0), False), ((8, 0), False), ((8, 9), True), ((12, 0), True)])
def test_a_gpu_that_is_slow_in_float64_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capability: tuple[int, int], slow: bool
) -> None:
    pretend(monkeypatch, 1, mps=True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Card 1")
    assert find_float64_device("auto") == torch.device("cuda:0")
    assert ("Card 1 computes in float64 at 1/32" in caplog.text) is slow
    assert find_float64_device("cpu") == find_float64_device("mps") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "cuda:-1", ""])
def test_other_names(name: str) -> None:
    with pytest.raises(ConfigError, match="`device` must be auto, cpu, cuda, cuda:N or mps, got"):
        check_device(name)


@pytest.mark.parametrize(
    ("gpus", "name", "message"),
    [(0, "cuda", "torch finds no GPUs here"), (1, "cuda:1", "torch finds 1 GPU here"), (0, "mps", "no GPU of Apple")],
)
def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch, gpus: int, name: str, message: str) -> None:
    pretend(monkeypatch, gpus)
    with pytest.raises(ConfigError, match=message):
        find_device(name)


def test_several(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0)
    check_several("auto", 64)  # processes of the CPU
    pretend(monkeypatch, 2)
    check_several("auto", 2)
    check_several("cpu", 3)
    check_several("cuda:1", 1)
    with pytest.raises(ConfigError, match="`devices` is 3, but this machine has 2 GPUs"):
        check_several("auto", 3)
    with pytest.raises(ConfigError, match="`device` names one device, cuda:1, but `devices` is 2"):
        check_several("cuda:1", 2)


def test_a_device_gets_the_number_that_its_tensors_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 2)
    assert numbered(torch.device("cuda")) == torch.device("cuda:1")
    assert numbered(torch.device("cuda:0")) == torch.device("cuda:0")
    assert numbered(torch.device("cpu")) == torch.zeros(1).device
