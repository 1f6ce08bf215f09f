"""Device of tensors: the one rule behind every `--device`.

`auto` is the first GPU that CUDA shows, else the CPU. Apple's GPU (mps) has no float64 and is taken only by name. A GPU always gets
its number, because torch's `cuda` and `cuda:0` are unequal devices. `CUDA_VISIBLE_DEVICES` chooses the GPUs that CUDA shows.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from varfx.errors import ConfigError

if TYPE_CHECKING:
    import torch

NAMES = "auto, cpu, cuda, cuda:N or mps"
# Compute capabilities with at least half of the float32 rate in float64: P100, V100, A100, H100 and H200, B200.
FULL_FLOAT64 = ((6, 0), (7, 0), (8, 0), (9, 0), (10, 0))
logger = logging.getLogger(__name__)
_PATTERN = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def check_device(name: str) -> None:
    """Checks the spelling of a device, without torch and without looking for it.

    Raises:
        ConfigError: no such name.
    """
    if not _PATTERN.fullmatch(name):
        raise ConfigError(f"`device` must be {NAMES}, got {name!r}.")


def find_device(name: str = "auto") -> torch.device:
    """The device of that name; a GPU with its number.

    Raises:
        ConfigError: no such name, or this machine has no such device.
    """
    import torch

    check_device(name)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError("`device` is mps, but torch finds no GPU of Apple here. Take cpu, or auto.")
        return torch.device("mps")
    number = int(name.partition(":")[2] or 0)
    if number >= gpus:
        raise ConfigError(
            f"`device` is {name}, but torch finds {gpus or 'no'} GPU{'s' if gpus != 1 else ''} here. Take cpu, or auto."
        )
    return torch.device("cuda", number)


def device_in_turn(name: str, number: int) -> torch.device:
    """The device of one of several independent works: `auto` and `cuda` mean all GPUs in turn, other names one device.

    Args:
        name: as of `find_device`.
        number: of the work, from 0.

    Raises:
        ConfigError: as `find_device`.
    """
    import torch

    found = find_device(name)
    if found.type != "cuda" or ":" in name:
        return found
    return torch.device("cuda", number % torch.cuda.device_count())


def numbered(device: torch.device) -> torch.device:
    """The same device with the number that its tensors carry: `cuda` is the current GPU."""
    import torch

    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    if device.type == "mps":
        return torch.device("mps", 0)
    return device


def find_float64_device(name: str = "auto") -> torch.device:
    """Where float64 work goes: the device of that name, but the CPU for mps. A GPU that is slow in float64 is named in the log.

    Raises:
        ConfigError: as `find_device`.
    """
    import torch

    device = for_float64(find_device(name))
    if device.type == "cuda" and torch.cuda.get_device_capability(device) not in FULL_FLOAT64:
        logger.warning(
            "%s computes in float64 at 1/32 of its float32 rate or less: compare the time with that of `device` cpu",
            torch.cuda.get_device_name(device),
        )
    return device


def for_float64(device: torch.device) -> torch.device:
    """Device for float64 work of `device`: the same, but the CPU for mps, which has no float64."""
    import torch

    return torch.device("cpu") if device.type == "mps" else device


def check_several(name: str, devices: int) -> None:
    """Checks that a device stands for as many processes of one machine as asked for.

    Raises:
        ConfigError: one GPU for several processes, or fewer GPUs than processes.
    """
    if devices == 1:
        return
    import torch

    found = find_device(name)
    if ":" in name or found.type == "mps":
        raise ConfigError(f"`device` names one device, {name}, but `devices` is {devices}. Take auto, cuda or cpu.")
    if found.type == "cuda" and torch.cuda.device_count() < devices:
        raise ConfigError(f"`devices` is {devices}, but this machine has {torch.cuda.device_count()} GPUs.")
