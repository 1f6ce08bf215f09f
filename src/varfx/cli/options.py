"""Configurations as options: each field of a dataclass is an option of its name, default and docstring.

Python, YAML and the command line so have the same words. What stands here is how they are typed on a line: lists with commas
or blanks, switches without a value, the further names of some options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import cyclopts
from cyclopts import Parameter

from varfx.io.workers import Workers

HIDDEN = Parameter(parse=False)  # a field for Python alone
Switch = Parameter(negative=(), show_default=False)


def split_list(type_: Any, tokens: Sequence[cyclopts.Token]) -> tuple[Any, ...]:
    """The values of a list option: `20,21`, `20 21` and a repeated option mean the same. Paths are not split at commas."""
    kinds = [kind for kind in get_args(type_) if kind is not Ellipsis]
    element: Callable[[str], Any] = kinds[0] if kinds else str
    if element is Path:
        return tuple(Path(token.value) for token in tokens)
    return tuple(element(part) for token in tokens for part in token.value.replace(",", " ").split())


def split_words(type_: Any, tokens: Sequence[cyclopts.Token]) -> tuple[str, ...]:
    """The values of a list option whose values may hold commas, such as files."""
    return tuple(token.value for token in tokens)


def is_list(argument: cyclopts.Argument) -> bool:
    """Whether an option takes several values."""
    return get_origin(argument.resolved_hint) in (list, tuple)


def _shown(value: Any) -> str | None:
    """A list's default on a help page; nothing for an empty one."""
    return ",".join(map(str, value)) or None


LIST = Parameter(converter=split_list, negative=(), show_default=_shown)
WORDS = Parameter(converter=split_words, negative=(), show_default=_shown)
Names = Annotated[tuple[str, ...], LIST]
Numbers = Annotated[tuple[int, ...], LIST]
Paths = Annotated[tuple[Path, ...], LIST]
Out = Annotated[Path, Parameter(alias="-o")]


def _genes(type_: Any, tokens: Sequence[cyclopts.Token]) -> tuple[str, ...]:
    from varfx.io.stream import is_file

    files = [token.value for token in tokens if is_file(token.value)]
    words = [word for token in tokens if token.value not in files for word in token.value.replace(",", " ").split()]
    return (*files, *words)


def genes_option() -> Parameter:
    """Genes as ids, with commas or blanks, or as a file whose name may hold them."""
    return Parameter(converter=_genes, negative=(), show_default=_shown)


def as_options(config: type, *, group: str | None = None, **spelling: Parameter) -> Parameter:
    """Makes the fields of a configuration options; returns the parameter that puts them among a command's own.

    Changes the annotations of the class, as its decorator would: lower floors do not know cyclopts.

    Args:
        config: a dataclass; configurations within it are flattened too.
        group: heading of its options on help pages.
        spelling: other or further names of some fields' options, or `HIDDEN`.
    """
    hints = get_type_hints(config, include_extras=True)
    for each in fields(config):
        parameters = [_by_type(hints[each.name], each.default)]
        parameters += [spelling[each.name]] if each.name in spelling else []
        config.__annotations__[each.name] = Annotated[(hints[each.name], *parameters)]
    return Parameter(name="*") if group is None else Parameter(name="*", group=group)


def _by_type(hint: Any, default: Any) -> Parameter:
    """Command-line notation of a field's values."""
    if get_origin(hint) is tuple:
        return LIST
    if hint is bool and default is False:
        return Switch
    within = [part for part in (hint, *get_args(hint)) if is_dataclass(part)]  # also a configuration or None
    return Parameter(name="*") if within else Parameter()


Where = Annotated[Workers, as_options(Workers, group="Workers")]
