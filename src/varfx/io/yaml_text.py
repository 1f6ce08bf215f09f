"""YAML of users: options, manifests, experiments and sidecars, read so that no file can hang or surprise the reader.

The values are those of YAML 1.1 as PyYAML reads them, less its surprises: `2024-01-31` stays text, `190:20` is no number
of minutes and `010` no octal number; a key stands once. Aliases are understood, but not those that multiply
without bound ("billion laughs") or hold themselves.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from varfx.errors import ConfigError, FormatError
from varfx.io.visible import shown

LARGEST_BYTES = 1 << 18
DEEPEST = 50  # levels of lists and mappings
MOST_VALUES = 100_000  # with each alias written out
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with fewer kinds of plain words."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag not in {f"{_TAG}timestamp", f"{_TAG}int", f"{_TAG}float"}]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    f"{_TAG}int", re.compile(r"^[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(
        r"^([-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)"
        r"|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def read_yaml(
    path: str | os.PathLike[str], name: str = "", error: type[ConfigError] | type[FormatError] = ConfigError
) -> Any:
    """The value of a YAML file.

    Args:
        path: the file, UTF-8, at most 256 KiB.
        name: the file in messages; by default its path.
        error: the class of the error.

    Raises:
        ConfigError: (or `error`) no such file, no YAML, a key that stands twice, or aliases without bound.
    """
    name = name or f"`{path}`"
    try:
        with open(Path(path), "rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as fault:  # ValueError: a path with a NUL byte
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise error(f"{name} cannot be read: {reason}.") from fault
    if len(content) > LARGEST_BYTES:
        raise error(f"{name} is no YAML of options: it has more than {LARGEST_BYTES >> 10} KiB. Give another file.")
    try:
        return _value(content.decode("utf-8-sig"))
    except RecursionError as fault:
        raise error(f"{name} is no YAML of options: it is nested too deeply.") from fault
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as fault:
        reason = " ".join(str(fault).split())[:300].rstrip(".")
        raise error(f"{name} is no YAML: {reason}.") from fault


def _value(text: str) -> Any:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):  # a flat walk, so that no nesting is beyond it
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"lists and mappings are nested more than {DEEPEST} levels deep")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Number of values and levels of a node with its aliases written out.

    Raises:
        ValueError: too many, too deep, a node that holds itself, or a key that stands twice.
    """
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise ValueError(f"the alias of line {node.start_mark.line + 1} holds itself")
        return found
    known[id(node)] = None
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _require_distinct(node)
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    parts = [_check(child, known) for child in children]
    count, depth = 1 + sum(part[0] for part in parts), 1 + max((part[1] for part in parts), default=0)
    if count > MOST_VALUES or depth > DEEPEST:
        raise ValueError(f"with its aliases written out, it has more than {MOST_VALUES:,} values or {DEEPEST} levels")
    known[id(node)] = count, depth
    return count, depth


def _require_distinct(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
            continue
        if (key.tag, key.value) in seen:
            raise ValueError(f"the key {shown(key.value)} stands twice, again in line {key.start_mark.line + 1}")
        seen.add((key.tag, key.value))
