"""A YAML mapping as a frozen dataclass: unknown keys, wrong types and missing files are errors that say where."""

from __future__ import annotations

import contextlib
import math
import os
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from varfx.errors import ConfigError
from varfx.io.visible import shown

T = TypeVar("T")
Locate = Callable[[str, str], Path]  # (text of the YAML, where it stands) -> path


def locate_from(folder: Path) -> Locate:
    """Reader of paths of a YAML in `folder`: relative to it; `$VARFX_DATA/...` from that environment variable."""

    def locate(text: str, where: str) -> Path:
        if text.startswith("$"):
            name, _, rest = text[1:].partition("/")
            root = os.environ.get(name)
            if not root:
                raise ConfigError(f"{where}: `{text}` needs the environment variable {name}, which is not set.")
            return Path(root) / rest
        path = Path(text).expanduser()
        return path if path.is_absolute() else folder / path

    return locate


def from_mapping(kind: type[T], content: Any, where: str, locate: Locate) -> T:
    """An instance of the dataclass `kind`.

    Args:
        kind: a frozen dataclass; its own checks run too.
        content: what the YAML holds there.
        where: for messages.
        locate: see `locate_from`.

    Raises:
        ConfigError: with the key that is wrong.
    """
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{where} must hold `key: value` lines, but is {shown(content)}.")
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    unknown = [key for key in content if key not in known]
    if unknown:
        raise ConfigError(f"{where} has the unknown key `{unknown[0]}`. Known are {', '.join(known)}.")
    lacking = [
        name
        for name, each in known.items()
        if name not in content and each.default is MISSING and each.default_factory is MISSING
    ]
    if lacking:
        raise ConfigError(f"{where} has no `{lacking[0]}`.")
    hints = get_type_hints(kind)
    values = {key: _value(hints[key], value, f"{where}: `{key}`", locate) for key, value in content.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _value(hint: Any, value: Any, where: str, locate: Locate) -> Any:
    """A YAML value as what a field's type says."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = [each for each in get_args(hint) if each is not type(None)]
        if value is None and len(options) < len(get_args(hint)):
            return None
        return _value(options[0], value, where, locate)
    if origin is Literal:
        text = str(value)
        if text not in get_args(hint):
            raise ConfigError(f"{where} must be {', '.join(get_args(hint))}, but is {shown(value)}.")
        return text
    if origin is tuple:
        inner = get_args(hint)[0]
        many = value if isinstance(value, list) else [value]
        return tuple(_value(inner, each, f"{where}[{number}]", locate) for number, each in enumerate(many))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must hold `key: value` lines, but is {shown(value)}.")
        return dict(value)
    if is_dataclass(hint):
        return from_mapping(hint, value, where, locate)  # type: ignore[arg-type]
    if hint is Path:
        return locate(_plain(str, value, where), where)
    return _plain(hint, value, where)


def _plain(hint: Any, value: Any, where: str) -> Any:
    """A number, text or yes/no; a whole number may stand for a float, and a number for text (chromosome 20)."""
    if hint is str and isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    if hint is float and isinstance(value, str):  # YAML reads 1e-3 as text
        with contextlib.suppress(ValueError):
            value = float(value)
    allowed = {float: (int, float), int: (int,), bool: (bool,)}.get(hint, ())
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint is not bool):
        names = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
        raise ConfigError(f"{where} must be {names.get(hint, str(hint))}, but is {shown(value)}.")
    if hint is not float:
        return value
    try:
        number = float(value)
    except OverflowError:
        number = math.nan
    if math.isnan(number):
        raise ConfigError(f"{where} must be a number, but is {shown(value)}.")
    return number
