"""The study of a report: a run, one of its traits, its inputs opened, and the learned f."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray
from scipy.special import log_ndtr

from varfx._version import __version__
from varfx.errors import ConfigError
from varfx.gwas.sumstats import SumStats
from varfx.ld import LDPanel
from varfx.pages.words import fixed, without_folders
from varfx.prior.files import PriorInputs, inputs_of_run
from varfx.prior.inputs import AlignedTrait, align_trait, panel_variants
from varfx.prior.predict import variances
from varfx.prior.run import Run, open_run
from varfx.report.html.blocks import Block, Cell, Column, Facts, Folded, Prose, Section, Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A fitted prior, one of its traits, and what it was fitted on.

    Attributes:
        run: the fit.
        number: of the trait.
        given: files in place of the run's own.
        files: all files.
        notes: on files that are not those of the fit.
        panel: the LD panel.
        sumstats: the trait's associations.
        aligned: the same on the panel's rows.
        f: learned variance of each panel variant's effect.
    """

    run: Run
    number: int
    given: PriorInputs
    files: PriorInputs
    notes: tuple[str, ...]
    panel: LDPanel
    sumstats: SumStats
    aligned: AlignedTrait
    f: Float[ndarray, " variant"]

    @property
    def trait(self) -> Mapping[str, Any]:
        """The trait's entry of the run's record."""
        found: Mapping[str, Any] = self.run.record["traits"][self.number]
        return found

    @property
    def kind(self) -> str:
        """Of the model."""
        return str(self.run.model.config.kind)


def open_study(run: str | os.PathLike[str], given: PriorInputs, trait: str | None) -> Study:
    """The study of a run.

    Raises:
        ConfigError: an unknown trait.
        DataError: an input of the run's own is not that of the fit.
        VarfxError: inputs that cannot be read.
    """
    fitted = open_run(run)
    if trait is not None and trait not in fitted.trait_names:
        raise ConfigError(f"`trait` {trait!r} is not one of the run's: {', '.join(fitted.trait_names)}.")
    chosen = 0 if trait is None else fitted.trait_names.index(trait)
    files, notes = inputs_of_run(fitted, given)
    panel, sumstats = files.open_panel(), files.read_sumstats()
    every = (
        panel.variants["eaf"].null_count() > 0
    )  # frequencies that the panel lacks are those of the first GWAS that has them
    aligned = {k: align_trait(each, panel, files.matching) for k, each in enumerate(sumstats) if every or k == chosen}
    variants = panel_variants(panel, list(aligned.values()))
    f = variances(fitted, variants, files.read_annotations(), given.tracks_of_run(fitted))
    return Study(
        run=fitted,
        number=chosen,
        given=given,
        files=files,
        notes=tuple(notes),
        panel=panel,
        sumstats=sumstats[chosen],
        aligned=aligned[chosen],
        f=f[:, chosen],
    )


def neg_log10_p(z: Float[ndarray, " variant"]) -> Float[ndarray, " variant"]:
    """-log10 of the two-sided p-value of each z, however small."""
    return np.asarray(-(np.log(2) + log_ndtr(-np.abs(z))) / np.log(10))


def study_section(study: Study, command: str, others: Mapping[str, Path]) -> Section:
    """Study and provenance: what was fitted to what, versions, checksums, the command.

    Args:
        study: the study.
        command: line that made the report.
        others: further files that the report shows, by name.
    """
    record, trait, split = study.run.record, study.trait, study.run.record["split"]
    variants = study.panel.variants
    several = study.run.trait_names
    rows = [
        ("trait", str(trait["name"]) + (f" (one of {len(several)} of this run: {', '.join(several)})" if len(several) > 1 else "")),
        ("sample size", f"{fixed(float(trait['n_ref']), 0)} (median of the variants)"),
        ("genome build", _build(study)),
        ("variants", f"{study.sumstats.table.height:,} in the GWAS, {variants.height:,} in the LD panel, {trait['matched']:,} in both"),
        ("LD panel", f"{len(study.panel.cores)} windows, reference of {study.panel.num_people:,} individuals"),
        ("model", f"{study.kind}, {_num_features(study)} features"),
        ("windows", f"{len(split['train'])} training, {len(split['validation'])} validation, {len(split['holdout'])} held out, {len(split['gap'])} in gaps"),
        ("residual variance sigma2", f"{fixed(trait['sigma2'])} (without heritability {fixed(trait['sigma2_null'])})"),
        ("frequency dependence alpha", f"{fixed(trait['alpha'], 2)} on standardised genotypes ({fixed(trait['alpha'] - 1, 2)} per allele)"),
        ("fitted", str(record["provenance"]["created"])),
        ("versions", _versions(record["provenance"])),
        ("made by", f"`{command}`"),
    ]  # fmt: skip
    notes = [*record.get("warnings", []), *study.notes]
    blocks: list[Block] = [Facts(rows=tuple(rows))]
    blocks += [Prose(text=without_folders(note), emphasis="warning") for note in notes]
    blocks.append(Folded(summary="Input files and their checksums", blocks=(_checksums(study, others),)))
    return Section(anchor="study", heading="Study", blocks=tuple(blocks))


def _build(study: Study) -> str:
    known = study.sumstats.metadata.get("genome_build")
    return str(known) if known else "not stated in the summary statistics; positions are those of the LD panel"


def _num_features(study: Study) -> str:
    features = study.run.record["features"]
    tracks = study.run.model.num_tracks
    count = 0 if features is None else len(features["channels"])
    return f"{count:,}" + (f" and {tracks:,} tracks read base by base" if tracks else "")


def _versions(provenance: Mapping[str, Any]) -> str:
    fitted = f"varfx {provenance['varfx']}, Python {provenance['python']}"
    return fitted if provenance["varfx"] == __version__ else f"fit: {fitted}; report: varfx {__version__}"


def _checksums(study: Study, others: Mapping[str, Path]) -> Table:
    from varfx.io import sealed

    inputs = study.run.record["provenance"]["inputs"]
    rows = [(name, Path(entry["path"]), entry["sha256"]) for name, entry in inputs.items()]
    rows += [(name, path, sealed.checksum(path)) for name, path in others.items()]
    cells = tuple(
        (Cell(shown=name), Cell(shown=_short(path)), Cell(shown=str(digest or "not recorded")))
        for name, path, digest in rows
    )
    columns = (Column(heading="input"), Column(heading="file"), Column(heading="SHA-256"))
    return Table(name="inputs", caption="", columns=columns, rows=cells, sortable=False)


def _short(path: Path) -> str:
    """A file's name; of a folder's manifest the folder's. Where it lay on the machine is nobody's business."""
    return f"{path.parent.name}/{path.name}" if path.name == "manifest.json" else path.name


def panel_rows(study: Study, variants: pl.DataFrame) -> np.ndarray:
    """The panel's row of each variant (`chrom, position, effect_allele, other_allele`), -1 for none."""
    from varfx.genome.variant_codes import encode, find

    mine, theirs = encode([study.panel.variants, variants], both_strands=False, sources=["panel", "variants"])
    return find(theirs.key, mine.key)
