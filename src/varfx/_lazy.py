"""Public names of a room that load when first used, so that one name does not cost the import of all.

A room may export a function of a submodule's name (`varfx.prior.fit` is the function of `varfx/prior/fit.py`). Importing the
submodule would bind the module to that name; the room keeps the function.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_HOMES = "_homes"  # attribute of a room: exported name -> module


class _Room(ModuleType):
    """A package with exports that load when first used."""

    def __getattr__(self, name: str) -> Any:
        homes: Mapping[str, str] = self.__dict__[_HOMES]
        if name not in homes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and name in self.__dict__[_HOMES]:
            return  # the import system binds a submodule; the export of the same name stays
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self.__dict__[_HOMES]})


def export(room: str, homes: Mapping[str, str]) -> None:
    """Makes `room` load each exported name from its module when first used.

    Args:
        room: `__name__` of the package.
        homes: module, relative to the room unless it begins with `varfx.`, -> its exported names, separated by blanks.
    """
    package = sys.modules[room]
    package.__dict__[_HOMES] = {
        name: module if module.startswith("varfx.") else f"{room}.{module}"
        for module, names in homes.items()
        for name in names.split()
    }
    package.__class__ = _Room
