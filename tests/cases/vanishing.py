"""A caller that is gone while its processes train."""

from __future__ import annotations

import multiprocessing
import os

from varfx.models import ModelConfig
from varfx.prior import SplitConfig, fit
from varfx.training import TrainConfig


def fit_until_a_step(panel: str, sumstats: str, annot: str, out: str) -> None:
    """Fits in two processes; prints their numbers after the first step, and ends without a word to them."""

    def step(done: int, total: int, what: str) -> None:
        if what.startswith("steps"):
            print(*[each.pid for each in multiprocessing.active_children()], flush=True)
            os._exit(0)

    fit(
        panel,
        [sumstats],
        out,
        annotations=annot,
        model=ModelConfig(kind="linear"),
        training=TrainConfig(max_steps=100_000, windows_per_step=2, devices=2),
        split=SplitConfig(holdout_chrom=("3",)),
        progress=step,
    )
