"""Attribution of log f to channels and positions, over many variants: what a prior looks at, and where.

Contributions are those of `varfx.models.attribution` (integrated gradients against the mean). A track's contribution to a
variant is the sum over its bases; its profile is the mean over variants of each base's contribution, with the sign and
without, at positions relative to the variant.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from varfx.errors import DataError
from varfx.ld import LDPanel
from varfx.models import VariancePrior
from varfx.models.attribution import Attribution, attribute
from varfx.models.config import AttributionConfig
from varfx.prior.explain.channels import Channels
from varfx.progress import Progress, silent
from varfx.training.gwas.windows import WindowData

PREFIX = "channel."  # of the columns of `variants`: channels may be called `eaf`
KEY_COLUMNS = ["chrom", "position", "variant_id", "effect_allele", "other_allele"]
PROFILE_SCHEMA = {"channel": pl.String(), "offset": pl.Int64(), "mean": pl.Float64(), "mean_abs": pl.Float64()}
BASES_SCHEMA = {"channel": pl.String(), "offset": pl.Int64(), "contribution": pl.Float32()}


@dataclass(frozen=True, eq=False)
class Attributions:
    """Contribution of each channel to log f.

    Attributes:
        variants: one row a variant, in genome order: its key, `log_f`, `log_f_baseline`, `unexplained` (log f minus
            baseline minus all contributions), `steps`, and `channel.NAME` for each channel's contribution.
        channels: one row a channel, by falling `mean_abs`: `channel`, `kind` (track or feature), the mean over variants of
            the contribution (`mean`) and of its size (`mean_abs`).
        profile: one row a track and `offset` from the variant's own base: `mean` and `mean_abs` of the base's contribution;
            empty without tracks.
        bases: for the variants of highest f, highest first, one row a variant, track and offset: `contribution`; empty
            without tracks.
    """

    variants: pl.DataFrame
    channels: pl.DataFrame
    profile: pl.DataFrame
    bases: pl.DataFrame

    def num_unexplained(self, tolerance: float) -> int:
        """Variants whose contributions miss their log f by more than the tolerance."""
        return int((self.variants["unexplained"].abs() > tolerance).sum())


def attribute_variants(
    prior: VariancePrior,
    data: WindowData,
    rows: Int[ndarray, " row"],
    channels: Channels,
    *,
    trait: int = 0,
    detail: int = 6,
    config: AttributionConfig | None = None,
    progress: Progress = silent,
) -> Attributions:
    """Contributions to log f of some variants of a panel.

    Args:
        prior: in evaluation mode.
        data: windows of the panel with the features of the prior; f refers to the trait's `n_ref`.
        rows: of the panel's variants.
        channels: names of the prior's inputs.
        trait: which of its outputs.
        detail: for how many variants, those of highest f, the contribution of every base is kept.
        config: of the integrals.
        progress: told about the variants done.

    Raises:
        DataError: no variants, or variants in no core of the panel.
    """
    config, rows = config or AttributionConfig(), np.unique(rows)
    if not rows.size:
        raise DataError("no variants are left to explain. Name some that are in the panel.")
    gathered = _Gathered(channels, detail)
    log_n = math.log(data.traits[trait].n_ref)
    for index, inside, local in windows_of(data.panel, rows):
        window = data[index].features_on(prior.scale.device)
        for start in range(0, inside.size, config.variants_per_pass):
            some = slice(start, start + config.variants_per_pass)
            here = torch.from_numpy(local[some]).to(prior.scale.device)
            found = attribute(prior, window.features, here, trait=trait, config=config)
            base = prior.log_base(window.heterozygosity[here])[:, trait].detach().double()
            gathered.add(inside[some], (base + found.value.double() - log_n).cpu().numpy(), found)
            progress(gathered.count, rows.size, "variants explained")
    return gathered.tables(data.panel.variants)


def windows_of(
    panel: LDPanel, rows: Int[ndarray, " row"]
) -> Iterator[tuple[int, Int[ndarray, " row"], Int[ndarray, " row"]]]:
    """The windows whose cores hold the variants: its number, the variants, and their rows in the window.

    Raises:
        DataError: a variant lies in no core.
    """
    position = panel.variants["position"].to_numpy()[rows]
    chrom = panel.variants["chrom"].to_numpy()[rows]
    left = np.ones(rows.size, dtype=bool)
    for index, core in enumerate(panel.cores):
        if not ((chrom == core.chrom) & (position >= core.start) & (position <= core.end)).any():
            continue
        core_rows, panel_rows = panel.rows(index)
        inside = np.isin(rows, core_rows) & left
        left &= ~inside
        if inside.any():
            yield index, rows[inside], np.searchsorted(panel_rows, rows[inside])
    if left.any():
        where = panel.variants.row(int(rows[left.argmax()]), named=True)
        raise DataError(
            f"{left.sum()} of {rows.size} variants are in no window's core, first {where['chrom']}:{where['position']}. "
            "Name others."
        )


class _Gathered:
    """Contributions, summed up as they come, so that those of all bases are in memory for one pass only."""

    def __init__(self, channels: Channels, detail: int) -> None:
        self.channels = channels
        self.count = 0
        self._detail = detail
        self._keys: list[ndarray] = []
        self._columns: list[ndarray] = []  # log f, baseline, unexplained, steps, channels
        self._sum: Float[Tensor, "track position"] | None = None
        self._sum_abs: Float[Tensor, "track position"] | None = None
        self._best: list[tuple[float, int, ndarray]] = []

    def add(self, rows: Int[ndarray, " row"], log_f: Float[ndarray, " row"], found: Attribution) -> None:
        parts = [part.detach().double().cpu() for part in found.parts]
        by_channel = [part.sum(2) if part.ndim == 3 else part for part in parts]
        total, error = (values.double().cpu().numpy() for values in (found.total, found.error))
        numbers = [log_f, log_f - total, error, found.steps.cpu().numpy()]
        self._keys.append(rows)
        self._columns.append(np.column_stack([*numbers, *(part.numpy() for part in by_channel)]))
        self.count += rows.size
        if parts[0].ndim != 3:
            return
        by_base = parts[0]
        shape = by_base.shape[1:]
        self._sum = by_base.sum(0) + (by_base.new_zeros(shape) if self._sum is None else self._sum)
        self._sum_abs = by_base.abs().sum(0) + (by_base.new_zeros(shape) if self._sum_abs is None else self._sum_abs)
        for number in np.argsort(-log_f)[: self._detail].tolist():
            entry = float(log_f[number]), int(rows[number]), by_base[number].float().numpy()
            if len(self._best) < self._detail:
                heapq.heappush(self._best, entry)
            elif entry[:2] > self._best[0][:2]:
                heapq.heapreplace(self._best, entry)

    def tables(self, variants: pl.DataFrame) -> Attributions:
        rows, values = np.concatenate(self._keys), np.concatenate(self._columns)
        order = np.argsort(rows)
        rows, values = rows[order], values[order]
        names = self.channels.names
        contributions = values[:, 4:]
        table = variants.select(KEY_COLUMNS)[rows].with_columns(
            *(pl.Series(name, values[:, i]) for i, name in enumerate(("log_f", "log_f_baseline", "unexplained"))),
            pl.Series("steps", values[:, 3].astype(np.int64)),
            *(pl.Series(PREFIX + name, contributions[:, i]) for i, name in enumerate(names)),
        )
        kinds = ["track"] * len(self.channels.tracks) + ["feature"] * len(self.channels.features)
        channels = pl.DataFrame(
            {
                "channel": pl.Series(names, dtype=pl.String),
                "kind": pl.Series(kinds, dtype=pl.String),
                "mean": contributions.mean(0),
                "mean_abs": np.abs(contributions).mean(0),
            }
        ).sort("mean_abs", descending=True, maintain_order=True)
        return Attributions(table, channels, self._profile(), self._bases(variants))

    def _profile(self) -> pl.DataFrame:
        if self._sum is None or self._sum_abs is None:
            return pl.DataFrame(schema=PROFILE_SCHEMA)
        means = {"mean": self._sum / self.count, "mean_abs": self._sum_abs / self.count}
        columns = {name: pl.Series(value.flatten().numpy()) for name, value in means.items()}
        return self._places().with_columns(**columns)

    def _bases(self, variants: pl.DataFrame) -> pl.DataFrame:
        keys = variants.select(KEY_COLUMNS)
        tables = [
            keys[row].join(self._places(), how="cross").with_columns(contribution=pl.Series(by_base.flatten()))
            for _, row, by_base in sorted(self._best, key=lambda entry: entry[:2], reverse=True)
        ]
        return pl.concat(tables) if tables else pl.DataFrame(schema={**keys.schema, **BASES_SCHEMA})

    def _places(self) -> pl.DataFrame:
        """A row for each value of a (track, position) tensor laid flat."""
        assert self._sum is not None
        tracks, width = self._sum.shape
        offset = np.arange(width, dtype=np.int64) - width // 2
        names = [name for name in self.channels.tracks for _ in range(width)]
        return pl.DataFrame({"channel": names, "offset": np.tile(offset, tracks)})
