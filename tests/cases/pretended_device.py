"""A second device on a machine without one: its tensors lie on the CPU, but do not mix with others and are not seen by NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from varfx.training.gwas import windows

THERE = torch.device("xpu", 0)  # a GPU's name, so that no code takes it for the CPU, for CUDA's streams or for mps
CPU = torch.device("cpu")
_ANYWHERE = (torch._has_compatible_shallow_copy_type, Tensor.copy_)  # take tensors of two devices
_INDEXING = (Tensor.__getitem__, Tensor.__setitem__)


def is_there(tensor: Tensor) -> bool:
    return getattr(tensor, "_is_there", False)


class PretendedDevice(TorchFunctionMode):
    """While active, `.to(THERE)` and `device=THERE` make tensors of the device.

    Attributes:
        moved: tensors that were brought to the device.
        returned: tensors that were brought back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.moved: list[Tensor] = []
        self.returned: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return THERE if is_there(args[0]) else func(*args)
        if func in (Tensor.numpy, Tensor.__array__) and is_there(args[0]):
            raise TypeError("can't convert a tensor of the pretended device to numpy: call .cpu() first")
        if func == Tensor.data.__set__:  # type: ignore[attr-defined]
            args[0]._is_there = is_there(args[1])
            return func(*args)
        if func in (Tensor.to, Tensor.cpu):
            return self._moved(func, args, kwargs)
        tensors = list(_tensors([args, kwargs]))
        if "device" in kwargs:
            device = kwargs.pop("device")
            there = device is not None and torch.device(device) == THERE
            kwargs["device"] = CPU if there else device
        else:
            there = any(is_there(tensor) for tensor in tensors)
            self._check(func, args, tensors)
        return _marked(func(*args, **kwargs), there)

    def _moved(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        tensor, rest = args[0], list(args[1:])
        target = CPU if func is Tensor.cpu else None
        for place, value in enumerate(rest):
            if isinstance(value, Tensor):
                target, rest[place] = THERE if is_there(value) else CPU, value.dtype
            elif isinstance(value, str | torch.device):
                target, rest[place] = torch.device(value), CPU
        if kwargs.get("device") is not None:
            target, kwargs["device"] = torch.device(kwargs["device"]), CPU
        there = is_there(tensor) if target is None else target == THERE
        found = func(tensor, *rest, **kwargs)
        if there != is_there(tensor):
            (self.moved if there else self.returned).append(tensor)
            found = found.view_as(found) if found is tensor else found
        return _marked(found, there)

    @staticmethod
    def _check(func: Callable[..., Any], args: tuple[Any, ...], tensors: list[Tensor]) -> None:
        if func in _INDEXING:
            tensors = [args[0], *_tensors(args[2:])] if is_there(args[0]) else tensors
        if func in _ANYWHERE:
            return
        places = {is_there(tensor) for tensor in tensors if tensor.ndim or is_there(tensor)}
        if len(places) > 1:
            name = getattr(func, "__name__", str(func))
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, found {THERE} and cpu")


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _marked(value: Any, there: bool) -> Any:
    for tensor in _tensors(value):
        if there != is_there(tensor):
            tensor._is_there = there  # type: ignore[attr-defined]
    return value


class _AtOnce:
    """An executor of this thread, since torch's function modes belong to one."""

    def __init__(self, workers: int) -> None: ...

    def __enter__(self) -> _AtOnce:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(task(*arguments))
        return future


@contextmanager
def pretended(*modules: Any) -> Iterator[PretendedDevice]:
    """The device, which `find_float64_device` of the modules gives for every name but cpu."""
    with pytest.MonkeyPatch.context() as patch, PretendedDevice() as device:
        patch.setattr(windows, "ThreadPoolExecutor", _AtOnce)
        for module in modules:
            patch.setattr(module, "find_float64_device", lambda name: CPU if name == "cpu" else THERE)
        yield device
