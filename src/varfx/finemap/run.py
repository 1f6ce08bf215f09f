"""`finemap`: from a prior, a panel and summary statistics to credible sets of every locus."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from varfx.device import find_float64_device
from varfx.errors import ConfigError, DataError
from varfx.finemap.config import FinemapConfig, LocusConfig
from varfx.finemap.loci import Locus, loci_of_associations, loci_of_bed, remarks, threshold
from varfx.finemap.locus_fit import LocusFit, LocusTask, fit_loci, locus_sizes
from varfx.finemap.source import Study
from varfx.io.ledger import Ledger, LedgerRow
from varfx.io.workers import Job, Workers, map_pieces
from varfx.ld.gaps import LEAST_RANK
from varfx.prior.inputs import simulated_on
from varfx.progress import Progress, silent
from varfx.qc import baseline_of
from varfx.short_repr import short_repr

logger = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]
IN_THIS_PROCESS = Workers(workers=1)
DEVICE_BYTES = 4 << 30  # of the matrices of a GPU's batch
MOST_IN_STEP = 64  # loci
NAMED = 3  # loci that a note names


@dataclass(frozen=True, kw_only=True, eq=False)
class FineMapping:
    """A fine-mapped study.

    Attributes:
        study: trait, panel and prior.
        config: how.
        loci: fits, in genome order.
        notes: remarks for the reader.
        ledger: how many variants and loci each step left out.
    """

    __repr__ = short_repr

    study: Study
    config: FinemapConfig
    loci: list[LocusFit]
    notes: list[str]
    ledger: list[LedgerRow]

    def to_dict(self) -> dict[str, Any]:
        """A summary, JSON-able."""
        marks = [each.verdict.mark for each in self.loci]
        return {
            "trait": self.study.sumstats.trait,
            "prior": self.study.kind,
            "n_loci": len(self.loci),
            "n_sets": sum(len(each.sets) for each in self.loci),
            "n_variants": int(sum(each.reported.sum() for each in self.loci)),
            "not_converged": [each.locus.name for each in self.loci if not each.fit.converged],
            "qc": {mark: marks.count(mark) for mark in ("pass", "warn", "fail")},
            "notes": self.notes,
            "ledger": self.ledger,
        }


def finemap(
    study: Study,
    *,
    bed: PathLike | None = None,
    config: FinemapConfig = FinemapConfig(),
    where: Workers = IN_THIS_PROCESS,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> FineMapping:
    """Credible sets and inclusion probabilities of every locus of a study.

    Args:
        study: see `varfx.finemap.source`.
        bed: loci; by default those around genome-wide significant associations.
        config: how.
        where: processes, each with the memory of one locus, or a scheduler.
        folder: existing folder that all workers of a scheduler see; by default the current one.
        device: cpu, auto (a GPU if there is one), cuda or cuda:N. A GPU fits loci of similar size in step, with the same numbers.
        progress: told about each locus.

    Raises:
        ConfigError: a number scales the background of a study without variances.
        DataError: no locus has associations.
        StoreError: the panel is damaged.
        WorkerError: workers or the scheduler were lost.
    """
    if study.f is None and isinstance(config.noise.background, int | float):
        raise ConfigError(
            "a number for `background` scales the prior's variances: --uniform has none. Give learn or none."
        )
    if find_float64_device(device).type == "cpu":
        device = "cpu"
    loci = _loci(study, bed, config)
    task = task_of(study, config)
    pieces = [[number] for number in range(len(loci))]
    if device != "cpu":
        pieces = batches(locus_sizes(task, loci), bytes_per_batch=DEVICE_BYTES // max(1, where.workers or 1))
    job = Job(
        function=_numbered_fits,
        start=_Numbered,
        arguments=(task, loci, device),
        what="loci" if device == "cpu" else "batches of loci",
        folder=folder,
        threads=None,
    )
    found: list[tuple[int, LocusFit]] = []
    empty, done = [], 0
    for fitted in map_pieces(job, pieces, where):
        for number, fit in fitted:
            if fit is None:
                empty.append(loci[number])
            else:
                found.append((number, fit))
        done += len(fitted)
        progress(done, len(loci), "loci")
    if not found:
        raise DataError(
            f"none of {len(loci)} loci has an association on the panel, first {loci[0].name}. Check --loci and the panel."
        )
    fits = [fit for _, fit in sorted(found, key=lambda each: each[0])]
    notes = [] if bed is None else remarks(loci, study.panel.cores, mhc=config.loci.mhc)
    return FineMapping(
        study=study,
        config=config,
        loci=fits,
        notes=notes + _notes(study, fits),
        ledger=_ledger(study, loci, empty, fits),
    )


def task_of(study: Study, config: FinemapConfig) -> LocusTask:
    """What all loci of a study share."""
    data = study.trait.data
    return LocusTask(
        panel=study.panel,
        z=data.z,
        n=data.n,
        f=study.f,
        inclusion=study.inclusion,
        sigma2=study.sigma2,
        L=config.L,
        susie=config.susie,
        noise=config.noise,
        baseline=baseline_of(study.panel, data.z),
        exact_ld=simulated_on(study.sumstats, study.panel),
        quality=config.quality,
    )


@dataclass(frozen=True, eq=False)
class _Numbered:
    """A task with its loci."""

    task: LocusTask
    loci: list[Locus]
    device: str


def _numbered_fits(state: _Numbered, numbers: list[int]) -> list[tuple[int, LocusFit | None]]:
    fits = fit_loci(state.task, [state.loci[number] for number in numbers], state.device)
    return list(zip(numbers, fits, strict=True))


def batches(sizes: Int[ndarray, " locus"], *, bytes_per_batch: int) -> list[list[int]]:
    """Numbers of the loci that are fitted in step: of similar size, and their padded matrices in memory together, two per locus.

    Args:
        sizes: number of variants of each locus.
        bytes_per_batch: memory of a batch's matrices.
    """
    parts: list[list[int]] = []
    for number in np.argsort(-sizes, kind="stable").tolist():
        largest = int(sizes[parts[-1][0]]) if parts else 0
        full = not parts or len(parts[-1]) == MOST_IN_STEP or 16 * largest**2 * (len(parts[-1]) + 1) > bytes_per_batch
        if full or 2 * int(sizes[number]) < largest:
            parts.append([])
        parts[-1].append(number)
    return parts


def _loci(study: Study, bed: PathLike | None, config: FinemapConfig) -> list[Locus]:
    """The loci, in genome order.

    Raises:
        DataError: no association is genome-wide significant.
    """
    variants = study.panel.variants
    chroms = list(dict.fromkeys(core.chrom for core in study.panel.cores))
    if bed is not None:
        return loci_of_bed(bed, chroms)
    dense = float(study.panel.windows["rank"].to_numpy().mean()) >= LEAST_RANK
    found = loci_of_associations(variants, study.trait.data.z, config.loci.sized(dense=dense))
    if not found:
        strongest = float(np.nanmax(np.abs(study.trait.data.z)))
        raise DataError(
            f"no association on the panel reaches p = {config.loci.lead_p:g} (|z| {threshold(config.loci.lead_p):.2f}) outside the "
            f"MHC; the largest |z| is {strongest:.2f}. Name loci with --loci, or raise --lead-p."
        )
    return found


def _ledger(study: Study, loci: list[Locus], empty: list[Locus], fits: list[LocusFit]) -> list[LedgerRow]:
    """What was used and what was not."""
    ledger = Ledger()
    for row in study.trait.ledger:
        ledger.add(row["step"], row["count"], row["note"])
    ledger.add("loci", len(loci))
    if empty:
        ledger.add("dropped", len(empty), f"loci without an association on the panel, first {empty[0].name}")
    ledger.add("variants in loci", int(sum(each.reported.sum() for each in fits)))
    unmatched = _strong_without_ld(study)
    if unmatched:
        ledger.add("significant associations without LD", unmatched)
    return ledger.rows()


def _strong_without_ld(study: Study) -> int:
    """Number of associations with p below 5e-8 that are not on the panel, or left out in matching."""
    limit = threshold(LocusConfig.lead_p)
    strong = int((np.abs(study.sumstats.table["z"].to_numpy()) >= limit).sum())
    return max(0, strong - int((np.abs(np.nan_to_num(study.trait.data.z)) >= limit).sum()))


def _notes(study: Study, fits: list[LocusFit]) -> list[str]:
    """What a reader must know."""
    notes = list(study.notes)
    if study.learned is not None:
        used = [each for each in fits if study.learned[each.rows[each.reported]].any()]
        if used:
            notes.append(
                f"f was learned from the associations of {len(used)} of {len(fits)} loci, first {used[0].locus.name}: used twice, they "
                "make f a little too sure of itself there. `varfx prior predict --cross-fit K` and --snpvar avoid that."
            )
        else:
            notes.append("f was learned without the associations of these loci")
    missing = _strong_without_ld(study)
    if missing:
        notes.append(
            f"{missing} associations with p < 5e-8 are not on the panel, or left out as ambiguous (see the ledger): a causal variant among "
            "them cannot be found"
        )
    failed = [f"{each.locus.name} ({each.verdict.cause})" for each in fits if each.without_ld]
    if failed:
        more = "" if len(failed) <= NAMED else f" and {len(failed) - NAMED} more (column qc of OUT.loci.tsv)"
        notes.append(
            f"the LD of {len(failed)} of {len(fits)} loci does not fit the associations: {', '.join(failed[:NAMED])}{more}. They are "
            "fitted with one effect, equal weights and no LD, so that further signals there are not looked for. `varfx qc` names the "
            "variants; --no-quality fits these loci as all others"
        )
        logger.warning(notes[-1])
    unfinished = [each.locus.name for each in fits if not each.fit.converged]
    if unfinished:
        notes.append(f"{len(unfinished)} fits did not converge, first {unfinished[0]}: read their sets with care")
    uneven = [each for each in fits if each.uneven_n > 0.1]
    if uneven:
        notes.append(
            f"sample sizes vary by more than 10 % in {len(uneven)} loci, first {uneven[0].locus.name}: SuSiE takes their median"
        )
    return notes
