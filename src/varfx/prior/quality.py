"""`quality_control`: do a panel's LD and a trait's associations fit each other? As tables, and as warnings of other commands."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray

from varfx.errors import ConfigError
from varfx.genome.variants import identifier
from varfx.io import sealed
from varfx.io.ledger import LedgerRow
from varfx.io.workers import Job, Workers, map_pieces
from varfx.ld import LDPanel
from varfx.prior.files import PriorInputs
from varfx.prior.inputs import align_trait
from varfx.progress import Progress, silent
from varfx.qc import (
    Baseline,
    Verdict,
    WindowCheck,
    check_core,
    check_core_variants,
    evenly_spaced,
    judge,
    lacks_square_norm,
    spread_of,
)
from varfx.training import TraitData

PathLike = str | os.PathLike[str]
IN_THIS_PROCESS = Workers(workers=1)
LACKS = "the panel was built without |R|^2 per window: energies have no p-value. Build it again with `varfx ld build` for that"


@dataclass(frozen=True, kw_only=True, eq=False)
class Quality:
    """Quality control of one trait on a panel.

    Attributes:
        trait: its name.
        windows: one row per window with associations: columns of `Q.windows.tsv`.
        variants: one row per variant of windows that warn or fail: columns of `Q.variants.tsv`.
        baseline: what is usual for the panel; None for few windows.
        notes: remarks for the reader.
        ledger: what harmonisation did.
        inputs: the files, for provenance.
    """

    trait: str
    windows: pl.DataFrame
    variants: pl.DataFrame
    baseline: Baseline | None
    notes: list[str]
    ledger: list[LedgerRow]
    inputs: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """A summary, JSON-able."""
        marks = self.windows["qc"].to_list()
        causes = self.windows.filter(pl.col("qc") != "pass")["cause"].value_counts(sort=True)
        baseline = None if self.baseline is None else {k: _number(v) for k, v in asdict(self.baseline).items()}
        return {
            "trait": self.trait,
            "n_windows": self.windows.height,
            "qc": {mark: marks.count(mark) for mark in ("pass", "warn", "fail")},
            "causes": dict(causes.iter_rows()),
            "n_variants_flagged": int((self.variants["mark"] != "").sum()),
            "baseline": baseline,
            "notes": self.notes,
            "ledger": self.ledger,
        }


def quality_control(
    inputs: PriorInputs,
    *,
    chrom: Sequence[str] = (),
    where: Workers = IN_THIS_PROCESS,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Quality:
    """Checks every window of a panel against the associations of a trait.

    Args:
        inputs: a panel and the summary statistics of one trait.
        chrom: chromosomes to look at; by default all.
        where: processes, each with the memory of one window, or a scheduler.
        folder: existing folder that all workers of a scheduler see.
        progress: told about each window.

    Raises:
        ConfigError: no panel, not one file of summary statistics, or chromosomes that the panel lacks.
        VarfxError: inputs that cannot be read or do not fit each other.
    """
    if inputs.panel is None or len(inputs.sumstats) != 1:
        raise ConfigError("quality control needs --panel and one --sumstats.")
    panel, (sumstats,) = inputs.open_panel(), inputs.read_sumstats()
    trait = align_trait(sumstats, panel, inputs.matching)
    chosen = [index for index, core in enumerate(panel.cores) if not chrom or core.chrom in chrom]
    if not chosen:
        raise ConfigError(f"`chrom` names {', '.join(chrom)}, of which the panel has no window.")
    z = trait.data.z if trait.data.z.ndim == 1 else trait.data.z[:, 0]
    job = Job(
        function=_check, start=_Checked, arguments=(panel, z, trait.data.n), what="windows", folder=folder, threads=None
    )
    checks: dict[int, WindowCheck] = {}
    for done, (index, check) in enumerate(map_pieces(job, chosen, where), start=1):
        if check is not None:
            checks[index] = check
        progress(done, len(chosen), "windows")
    baseline = Baseline.of(list(checks.values()))
    windows, variants = [], []
    for index in sorted(checks):
        row, doubtful = _judged(panel, index, z, trait.data.n, checks[index], baseline)
        windows.append(row)
        if doubtful is not None:
            variants.append(doubtful)
    notes = _notes(baseline, [row["qc"] for row in windows]) + ([LACKS] if lacks_square_norm(panel) else [])
    return Quality(
        trait=sumstats.trait,
        windows=pl.DataFrame(windows, schema=WINDOWS_SCHEMA),
        variants=pl.concat(variants) if variants else pl.DataFrame(schema=VARIANTS_SCHEMA),
        baseline=baseline,
        notes=notes,
        ledger=trait.ledger,
        inputs={"panel": str(inputs.panel), "sumstats": str(inputs.sumstats[0])},
    )


def quality_warnings(panel: LDPanel, trait: TraitData) -> list[str]:
    """Sentences on windows whose LD does not fit a trait's associations, from some windows of the panel; often none.

    Args:
        panel: the LD panel.
        trait: associations on its rows.
    """
    z = trait.z if trait.z.ndim == 1 else trait.z[:, 0]
    checks = {int(index): check_core(panel, int(index), z) for index in evenly_spaced(panel)}
    found = {index: check for index, check in checks.items() if check is not None}
    baseline = Baseline.of(list(found.values()))
    marks = {index: judge(check, baseline=baseline).mark for index, check in found.items()}
    failed = [panel.cores[index].name for index, mark in marks.items() if mark == "fail"]
    sentences = [f"{trait.name}: {note}" for note in _notes(baseline, [])]
    if failed:
        sentences.append(
            f"{trait.name}: the LD of {len(failed)} of {len(found)} windows looked at does not fit the associations, first {failed[0]}: "
            "`varfx qc` names variants and causes"
        )
    return sentences


def write_quality(quality: Quality, out: PathLike) -> list[Path]:
    """Writes `OUT.windows.tsv`, `OUT.variants.tsv` and `OUT.json`; returns their paths."""
    paths = []
    for name, table in (("windows", quality.windows), ("variants", quality.variants)):
        text = table.with_columns(pl.col(pl.Float64).fill_nan(None), pl.col(pl.String).replace("", None)).write_csv(
            separator="\t", null_value="NA"
        )
        sealed.write_text(f"{out}.{name}.tsv", text)
        paths.append(Path(f"{out}.{name}.tsv"))
    sealed.write_json(f"{out}.json", {**quality.to_dict(), "provenance": sealed.provenance({}, quality.inputs)})
    return [*paths, Path(f"{out}.json")]


WINDOWS_SCHEMA = {
    "window": pl.String(), "chrom": pl.String(), "start": pl.Int64(), "end": pl.Int64(), "n_variants": pl.Int64(),
    "mean_chi2": pl.Float64(), "s": pl.Float64(), "s_lr": pl.Float64(), "energy_ratio": pl.Float64(), "energy_z": pl.Float64(),
    "energy_p": pl.Float64(), "sigma2": pl.Float64(), "variance_lr": pl.Float64(), "n_spread": pl.Float64(),
    "n_flipped": pl.Int64(), "n_dentist": pl.Int64(), "qc": pl.String(), "cause": pl.String(), "evidence": pl.String(),
}  # fmt: skip
VARIANTS_SCHEMA = {
    "window": pl.String(), "chrom": pl.String(), "position": pl.Int64(), "variant_id": pl.String(),
    "effect_allele": pl.String(), "other_allele": pl.String(), "z": pl.Float64(), "n": pl.Float64(),
    "kriging_mean": pl.Float64(), "kriging_z": pl.Float64(), "flip_lr": pl.Float64(), "dentist_chi2": pl.Float64(),
    "mark": pl.String(),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Checked:
    """What all windows share."""

    panel: LDPanel
    z: Float[ndarray, " variant"]
    n: Float[ndarray, " variant"]


def _check(state: _Checked, index: int) -> tuple[int, WindowCheck | None]:
    return index, check_core(state.panel, index, state.z)


def _judged(
    panel: LDPanel, index: int, z: ndarray, n: ndarray, check: WindowCheck, baseline: Baseline | None
) -> tuple[dict[str, Any], pl.DataFrame | None]:
    """The rows of a window and, if it is doubtful, of its variants."""
    core = panel.cores[index]
    rows = panel.rows(index)[0]
    spread = spread_of(n, rows)
    verdict, table, flipped, outliers = judge(check, n_spread=spread, baseline=baseline), None, 0, 0
    if verdict.mark != "pass":
        observed, variants = check_core_variants(panel, index, z, check.s)
        verdict = judge(check, variants, n_spread=spread, baseline=baseline)
        flipped, outliers = int(variants.flipped.sum()), int(variants.outlier.sum())
        mark = np.where(variants.flipped, "flipped", np.where(variants.outlier, "dentist", ""))
        table = panel.variants[observed].select(
            window=pl.lit(core.name), chrom="chrom", position="position", variant_id=identifier(),
            effect_allele="effect_allele", other_allele="other_allele", z=pl.Series(z[observed]), n=pl.Series(n[observed]),
            kriging_mean=pl.Series(variants.conditional_mean), kriging_z=pl.Series(variants.kriging),
            flip_lr=pl.Series(variants.flip_lr), dentist_chi2=pl.Series(variants.dentist), mark=pl.Series(mark),
        ).cast(pl.Schema(VARIANTS_SCHEMA))  # fmt: skip
    row = {
        "window": core.name, "chrom": core.chrom, "start": core.start, "end": core.end, "n_variants": check.variants,
        "mean_chi2": check.mean_chi2, "s": check.s, "s_lr": check.s_lr, "energy_ratio": check.energy_ratio, "energy_z": check.energy_z,
        "energy_p": check.energy_p, "sigma2": check.sigma2, "variance_lr": check.variance_lr, "n_spread": spread,
        "n_flipped": flipped, "n_dentist": outliers, "qc": verdict.mark, "cause": verdict.cause,
        "evidence": ",".join(verdict.evidence),
    }  # fmt: skip
    return row, table


def _notes(baseline: Baseline | None, marks: Sequence[str]) -> list[str]:
    """Sentences on the panel as a whole."""
    notes = []
    if baseline is not None and baseline.doubtful:
        numbers = f"median s {baseline.s:.3f}, residual variance {baseline.sigma2:.2f}"
        if np.isfinite(baseline.energy_ratio):
            numbers += f", energy outside the panel's directions {baseline.energy_ratio:.1f} times the expected"
        notes.append(
            f"the panel as a whole fits the associations badly ({numbers}): its individuals are few, or of another population, or sample "
            "sizes are not given per variant. Windows are judged beside each other"
        )
    if marks and baseline is None:
        notes.append("fewer than 10 windows: each is judged by fixed bounds alone")
    return notes


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def verdict_of_cores(
    panel: LDPanel, indexes: Sequence[int], z: ndarray, n: ndarray, baseline: Baseline | None
) -> tuple[WindowCheck | None, Verdict]:
    """The worst core of a stretch: its numbers and its mark."""
    worst: tuple[WindowCheck | None, Verdict] = (None, Verdict("pass", "", ()))
    order = ("pass", "warn", "fail")
    for index in indexes:
        check = check_core(panel, index, z)
        if check is None:
            continue
        spread = spread_of(n, panel.rows(index)[0])
        verdict = judge(check, n_spread=spread, baseline=baseline)
        if verdict.mark != "pass":
            verdict = judge(check, check_core_variants(panel, index, z, check.s)[1], n_spread=spread, baseline=baseline)
        before = worst[0]
        rank = (order.index(verdict.mark), check.s)
        if before is None or rank > (order.index(worst[1].mark), before.s):
            worst = (check, verdict)
    return worst
