"""Public objects show what they are in a few lines, never their arrays and tables."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.cohort import small_cohort
from cases.simulated_panel import Simulated
from varfx.annotations import read_annotations
from varfx.expression.cohort.store import open_cohort
from varfx.gwas.sumstats import read_sumstats
from varfx.short_repr import LINES, short_repr

ROOMS = (
    "gwas",
    "ld",
    "annotations",
    "tracks",
    "prior",
    "expression",
    "genome",
    "genotypes",
    "likelihood",
    "training",
    "linalg",
    "finemap",
)
BULKY = ("ndarray", "Tensor", "DataFrame", "dict[str, Any]", "list[dict")


@pytest.mark.parametrize("room", ROOMS)
def test_no_public_dataclass_prints_arrays(room: str) -> None:
    module = importlib.import_module(f"varfx.{room}")
    for name in module.__all__:
        kind = getattr(module, name)
        if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
            continue
        bulky = [
            each.name
            for each in dataclasses.fields(kind)
            if each.repr and any(word in str(each.type) for word in BULKY) and "Callable" not in str(each.type)
        ]
        generated = hasattr(kind.__repr__, "__wrapped__")  # by the decorator, which prints every field
        assert not (bulky and generated), f"varfx.{room}.{name} prints {bulky}: give it `__repr__ = short_repr`"


def test_objects_of_a_study_are_short(simulated: Simulated, tmp_path: Path) -> None:
    objects = [
        read_sumstats(simulated.height), simulated.open(), read_annotations(simulated.annot), open_cohort(small_cohort(tmp_path)),
        simulated.open().window(0),
    ]  # fmt: skip
    for each in objects:
        assert len(repr(each)) <= LINES * 120
        assert "\n" not in repr(each)
        assert repr(each).startswith(type(each).__name__)
    assert "table=table of" in repr(objects[0])


def test_sizes_stand_for_contents() -> None:
    @dataclasses.dataclass(frozen=True)
    class Thing:
        a: np.ndarray
        table: pl.DataFrame
        many: tuple[str, ...]
        few: tuple[str, ...]
        number: float
        record: dict[str, int]

        __repr__ = short_repr

    thing = Thing(np.zeros((2, 3), np.float32), pl.DataFrame({"x": [1, 2]}), tuple("abcd"), ("a",), 1 / 3, {"k": 1})
    assert repr(thing) == (
        "Thing(a=float32[2, 3], table=table of 2 x 1, many=4 entries, few=('a',), number=0.333333, record={1 entries})"
    )
