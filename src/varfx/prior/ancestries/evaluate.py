"""Scores of each ancestry's prior on the regions that are held out in all."""

from __future__ import annotations

import os
from typing import Any

from varfx.errors import ConfigError
from varfx.prior.ancestries.run import AncestryRun, has_ancestries, open_ancestries
from varfx.prior.evaluate import Evaluation, evaluate
from varfx.prior.run import Run

PathLike = str | os.PathLike[str]


def evaluate_ancestries(
    run: PathLike | AncestryRun, *, compare_with: PathLike | Run | AncestryRun | None = None, **options: Any
) -> Evaluation:
    """`varfx.prior.evaluate` of each ancestry, under its name.

    Args:
        run: the run of several ancestries, or its folder.
        compare_with: another such run, which has the same ancestries.
        **options: those of `evaluate`, but for files: these are of one ancestry.

    Raises:
        ConfigError: `compare_with` has other ancestries or is the run of one panel.
        VarfxError: see `evaluate`.
    """
    joint = open_ancestries(run)
    others: dict[str, Run] = {}
    if compare_with is not None:
        if not has_ancestries(compare_with):
            first = next(iter(joint.members))
            raise ConfigError(
                f"`{compare_with}` is the run of one panel, and `{joint.path}` that of several ancestries. Compare one by one: "
                f"{joint.path / first} with it."
            )
        assert not isinstance(compare_with, Run)
        others = open_ancestries(compare_with).members
        if others.keys() != joint.members.keys():
            raise ConfigError(
                f"`{compare_with}` has the ancestries {', '.join(others)}, and `{joint.path}` has {', '.join(joint.members)}. Compare "
                "one by one."
            )
    found = {name: evaluate(each, compare_with=others.get(name), **options) for name, each in joint.members.items()}
    return Evaluation(
        traits=[{**entry, "name": name} for name, each in found.items() for entry in each.traits],
        windows=[{**entry, "trait": name} for name, each in found.items() for entry in each.windows],
        notes=[f"{name}: {note}" for name, each in found.items() for note in each.notes],
    )
