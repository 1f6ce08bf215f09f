"""`finemap` of a run of several ancestries: one locus at a time, with each ancestry's panel, and the tables of what is found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy import ndarray

from varfx.errors import DataError
from varfx.finemap.ancestries.fit import JointFit, SharedFit
from varfx.finemap.config import FinemapConfig
from varfx.finemap.files.text import write_table
from varfx.finemap.fit import Fit
from varfx.finemap.loci import Locus, loci_of_associations, loci_of_bed, whole
from varfx.finemap.locus_fit import LocusTask, PreparedLocus, noise_of, prepare_locus
from varfx.finemap.run import IN_THIS_PROCESS, task_of
from varfx.finemap.source import Study, study_of_run
from varfx.genome.variants import identifier
from varfx.io import sealed
from varfx.io.workers import Job, Workers, map_pieces
from varfx.prior.ancestries.run import AncestryRun
from varfx.prior.ancestries.union import Union, union_of
from varfx.prior.files import PriorInputs
from varfx.progress import Progress, silent

PathLike = str | os.PathLike[str]
LN10 = float(np.log(10))


@dataclass(frozen=True, eq=False)
class SharedLocus:
    """A locus fine-mapped in several ancestries.

    Attributes:
        locus: the stretch.
        rows: its variants' rows in the union.
        ancestries: numbers of the ancestries that were fitted.
        left_out: why each other one was not.
        fit: over `rows`.
    """

    locus: Locus
    rows: ndarray
    ancestries: list[int]
    left_out: dict[str, str]
    fit: SharedFit


@dataclass(frozen=True, eq=False)
class SharedMapping:
    """A trait fine-mapped in several ancestries.

    Attributes:
        studies: trait, panel and prior of each, by name.
        union: their variants.
        config: how.
        loci: in genome order.
        notes: remarks for the reader.
    """

    studies: dict[str, Study]
    union: Union
    config: FinemapConfig
    loci: list[SharedLocus]
    notes: list[str]


@dataclass(frozen=True, eq=False)
class _Task:
    """What all loci share."""

    names: tuple[str, ...]
    tasks: tuple[LocusTask, ...]
    places: tuple[ndarray, ...]  # row of the union of each panel row
    loci: tuple[Locus, ...]


def finemap_ancestries(
    run: AncestryRun,
    *,
    bed: PathLike | None = None,
    config: FinemapConfig = FinemapConfig(),
    where: Workers = IN_THIS_PROCESS,
    folder: Path | None = None,
    progress: Progress = silent,
) -> SharedMapping:
    """Credible sets over all ancestries of a run, and in which of them each signal exists.

    Args:
        run: the run of several ancestries.
        bed: loci; by default those around genome-wide significant associations of any ancestry, merged where they overlap.
        config: how.
        where: processes, each with the memory of one locus in every panel, or a scheduler.
        folder: existing folder that all workers of a scheduler see; by default the current one.
        progress: told about each locus.

    Raises:
        DataError: no locus has associations, or none is significant.
        VarfxError: see `varfx.finemap.finemap`.
    """
    studies = {name: study_of_run(member, PriorInputs()) for name, member in run.members.items()}
    union = union_of({name: each.panel.variants for name, each in studies.items()})
    loci = _loci(studies, bed, config)
    places = []
    for name, study in studies.items():
        own = np.full(study.panel.variants.height, -1, dtype=np.int64)
        there = union.rows[name] >= 0
        own[union.rows[name][there]] = np.flatnonzero(there)
        places.append(own)
    tasks = tuple(task_of(study, config) for study in studies.values())
    state = (tuple(studies), tasks, tuple(places), tuple(loci))
    job = Job(function=_fit_locus, start=_Task, arguments=state, what="loci", folder=folder, threads=None)
    found: list[tuple[int, SharedLocus]] = []
    for done, (number, fitted) in enumerate(map_pieces(job, list(range(len(loci))), where), start=1):
        if fitted is not None:
            found.append((number, fitted))
        progress(done, len(loci), "loci")
    if not found:
        raise DataError(
            f"none of {len(loci)} loci has an association on the panels, first {loci[0].name}. Check --loci."
        )
    fits = [each for _, each in sorted(found, key=lambda pair: pair[0])]
    return SharedMapping(studies, union, config, fits, _notes(studies, fits))


def _loci(studies: dict[str, Study], bed: PathLike | None, config: FinemapConfig) -> list[Locus]:
    """The loci of a file, or those of all ancestries, merged where they overlap."""
    chroms = list(dict.fromkeys(core.chrom for study in studies.values() for core in study.panel.cores))
    if bed is not None:
        return loci_of_bed(bed, chroms)
    own = [
        each
        for study in studies.values()
        for each in loci_of_associations(study.panel.variants, study.trait.data.z, config.loci)
    ]
    merged: list[Locus] = []
    for each in sorted(own, key=lambda locus: (chroms.index(locus.chrom), locus.start)):
        if merged and merged[-1].chrom == each.chrom and each.start < merged[-1].end:
            merged[-1] = whole(each.chrom, merged[-1].start, max(each.end, merged[-1].end))
        else:
            merged.append(whole(each.chrom, each.start, each.end))
    if not merged:
        raise DataError(
            f"no association reaches p = {config.loci.lead_p:g} in any of {len(studies)} ancestries. Name loci with --loci, or raise "
            "--lead-p."
        )
    return merged


def _fit_locus(state: _Task, number: int) -> tuple[int, SharedLocus | None]:
    """One locus in all ancestries with associations whose LD fits them."""
    locus = state.loci[number]
    used: list[tuple[int, PreparedLocus]] = []
    left_out = {}
    for k, (name, task) in enumerate(zip(state.names, state.tasks, strict=True)):
        given = prepare_locus(task, locus)
        if given is None:
            left_out[name] = "no association on its panel"
        elif given.without_ld:
            left_out[name] = given.verdict.cause
        else:
            used.append((k, given))
    if not used:
        return number, None
    rows = np.unique(np.concatenate([state.places[k][given.rows] for k, given in used]))
    L = min(state.tasks[0].L, min(given.rows.size for _, given in used))
    fits, own = [], []
    for k, given in used:
        task, n = state.tasks[k], given.n
        z = task.z[given.rows]
        if task.susie.z_method == "pve":
            z = z * np.sqrt((n - 1) / (z**2 + n - 2))
        noise = noise_of(task, given.rows, n)
        ordered = np.searchsorted(rows, state.places[k][given.rows])
        fits.append(Fit(z, given.ld, n, np.zeros(given.rows.size), L, noise))
        own.append(ordered)
    weights = _weights(state, used, rows)
    fit = JointFit(fits, own, np.log(weights)).run(state.tasks[0].susie)
    return number, SharedLocus(locus, rows, [k for k, _ in used], left_out, fit)


def _weights(state: _Task, used: Sequence[tuple[int, PreparedLocus]], rows: ndarray) -> ndarray:
    """Prior probability of each variant to carry an effect: the mean of its shares of the ancestries' f; equal without f."""
    total, count = np.zeros(rows.size), np.zeros(rows.size)
    for k, given in used:
        f = state.tasks[k].f
        own = np.ones(given.rows.size) if f is None else f[given.rows]
        at = np.searchsorted(rows, state.places[k][given.rows])
        total[at] += own / own.mean()
        count[at] += 1
    shares = total / count
    return np.asarray(shares / shares.sum())


def _notes(studies: dict[str, Study], loci: Sequence[SharedLocus]) -> list[str]:
    """What a reader must know."""
    notes = []
    for name in studies:
        out = [each for each in loci if name in each.left_out]
        if out:
            notes.append(
                f"{name} is left out of {len(out)} of {len(loci)} loci, first {out[0].locus.name} ({out[0].left_out[name]}); P.{name} is "
                "empty there"
            )
    slow = [each for each in loci if not each.fit.converged]
    if slow:
        notes.append(
            f"{len(slow)} of {len(loci)} loci did not converge, first {slow[0].locus.name}: read their sets with care"
        )
    return notes


def variant_table(mapping: SharedMapping) -> pl.DataFrame:
    """One row per variant and locus: `locus, chrom, position, variant_id, effect_allele, other_allele, pip, cs, cs_prob`, then per ancestry `z.NAME, f.NAME`
    and the posterior effect on standardised genotypes, `mean.NAME`; null where its panel lacks the variant.
    """
    parts = []
    for each in mapping.loci:
        fit, variants = each.fit, mapping.union.variants[each.rows]
        number, probability = np.zeros(each.rows.size, dtype=np.int64), np.zeros(each.rows.size)
        for place in range(len(fit.sets) - 1, -1, -1):
            own = fit.sets[place]
            number[own.variants], probability[own.variants] = place + 1, fit.alpha[own.effect, own.variants]
        columns: dict[str, ndarray] = {"pip": fit.pip, "cs": number, "cs_prob": probability}
        for k, (name, study) in enumerate(mapping.studies.items()):
            sign = mapping.union.signs[name][each.rows]
            columns[f"z.{name}"] = mapping.union.spread(name, study.trait.data.z)[each.rows] * sign
            f = np.full(study.panel.variants.height, np.nan) if study.f is None else study.f
            columns[f"f.{name}"] = mapping.union.spread(name, f)[each.rows]
            mean = np.full(each.rows.size, np.nan)
            if k in each.ancestries:
                mean = fit.mean[each.ancestries.index(k)] * sign / np.sqrt(study.trait.data.n_ref - 1)
            columns[f"mean.{name}"] = mean
        parts.append(
            variants.select("chrom", "position", identifier(), "effect_allele", "other_allele").with_columns(
                *(pl.Series(name, values) for name, values in columns.items()), locus=pl.lit(each.locus.name)
            )
        )
    return pl.concat(parts).with_columns(pl.col(pl.Float64).fill_nan(None))


def set_table(mapping: SharedMapping) -> pl.DataFrame:
    """One row per credible set: `locus, cs, n, log10bf, coverage, lead, lead_pip`, per ancestry `P.NAME` (probability that the effect exists there) and
    `purity.NAME`, then `variants`.
    """
    names = mapping.union.variants.select(identifier())["variant_id"]
    rows = []
    for each in mapping.loci:
        for number, one in enumerate(each.fit.sets, start=1):
            order = np.argsort(-each.fit.alpha[one.effect, one.variants], kind="stable")
            row: dict[str, Any] = {
                "locus": each.locus.name,
                "cs": number,
                "n": one.variants.size,
                "log10bf": one.log_bf / LN10,
                "coverage": one.coverage,
                "lead": names[int(each.rows[one.lead])],
                "lead_pip": float(each.fit.pip[one.lead]),
            }
            for what, values in (("P", one.exists), ("purity", one.purity)):
                by_ancestry = dict(zip(each.ancestries, values.tolist(), strict=True))
                row |= {f"{what}.{name}": by_ancestry.get(k) for k, name in enumerate(mapping.studies)}
            row["variants"] = ",".join(names[int(each.rows[place])] for place in one.variants[order])
            rows.append(row)
    schema = {
        "locus": pl.String(),
        "cs": pl.Int64(),
        "n": pl.Int64(),
        "log10bf": pl.Float64(),
        "coverage": pl.Float64(),
    }
    schema |= {"lead": pl.String(), "lead_pip": pl.Float64()}
    schema |= {f"{what}.{name}": pl.Float64() for what in ("P", "purity") for name in mapping.studies}
    return pl.DataFrame(rows, schema={**schema, "variants": pl.String()}).with_columns(
        pl.col(pl.Float64).fill_nan(None)
    )


def write_shared_files(mapping: SharedMapping, out: PathLike) -> list[Path]:
    """Writes `OUT.pip.tsv.gz`, `OUT.cs.tsv` and `OUT.json`; returns their paths.

    Raises:
        StoreError: a file cannot be written.
    """
    paths = [Path(f"{out}.pip.tsv.gz"), Path(f"{out}.cs.tsv"), Path(f"{out}.json")]
    sets = set_table(mapping)
    write_table(variant_table(mapping), str(paths[0]))
    write_table(sets, str(paths[1]))
    files = {f"{role}.{name}": path for name, each in mapping.studies.items() for role, path in each.files.items()}
    record = {
        "ancestries": list(mapping.studies),
        "n_loci": len(mapping.loci),
        "n_sets": sets.height,
        "loci": [
            {"locus": each.locus.name, "n_variants": each.rows.size, "sweeps": len(each.fit.elbo), "converged": each.fit.converged,
             "left_out": each.left_out}
            for each in mapping.loci
        ],
        "notes": mapping.notes,
        "provenance": sealed.provenance(asdict(mapping.config), files),
    }  # fmt: skip
    sealed.write_json(paths[2], record)
    return paths
