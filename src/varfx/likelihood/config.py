"""Names of the engines and their check, importable without torch."""

from __future__ import annotations

from typing import Literal, get_args

from varfx.errors import ConfigError

Engine = Literal["auto", "exact", "stochastic"]


def check_engine(name: str) -> None:
    """Checks a name that a user gave.

    Raises:
        ConfigError: there is no such engine.
    """
    if name not in get_args(Engine):
        raise ConfigError(f"`engine` must be {', '.join(get_args(Engine))}, got {name!r}.")
