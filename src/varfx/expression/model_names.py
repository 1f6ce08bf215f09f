"""Names of models in tables: with the number of training individuals, where it is not all of them."""

from __future__ import annotations


def sized_name(model: str, size: int | None) -> str:
    """Name of a model that was fitted on `size` training individuals; its own for all of them (None)."""
    return model if size is None else f"{model}@{size}"


def size_of(name: str) -> tuple[str, int | None]:
    """The model and its number of training individuals, from `sized_name`; None for all of them."""
    model, sign, size = name.partition("@")
    return (model, int(size)) if sign and size.isdecimal() else (name, None)
