"""What the demo makes of a fitted prior: heritability, quality control, credible sets, polygenic weights and scores, and a report of all of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from varfx.annotations.file import open_annotations
from varfx.demos.timing import timed
from varfx.errors import DataError
from varfx.finemap import finemap, study_of_run, write_files
from varfx.finemap.tables import set_table
from varfx.io.workers import Workers
from varfx.pages import ReportConfig, write_report
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.files import PriorInputs
from varfx.prior.heritability import Heritability, heritability, source_of_run, write_heritability
from varfx.prior.polygenic.score import score, write_scores
from varfx.prior.quality import quality_control, write_quality
from varfx.prior.weights import weights, write_weights
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
REPORT = "report.html"
HERITABILITY = ("h2", "h2_se", "h2_ci95", "sigma2", "sigma2_se", "annotations", "notes")  # in the demo's results


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a prior was used for.

    Attributes:
        heritability: total and by annotation, with standard errors.
        quality: number of windows by mark.
        sets: credible sets, the columns of `F.cs.tsv`; None where no association is genome-wide significant.
        scores: number of individuals and variants, and the scores' standard deviation in those of the trait.
        report_bytes: size of the report.
    """

    heritability: Heritability
    quality: Mapping[str, int]
    sets: pl.DataFrame | None
    scores: Mapping[str, float]
    report_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The numbers, JSON-able."""
        return {
            "heritability": {key: value for key, value in self.heritability.to_dict().items() if key in HERITABILITY},
            "quality": dict(self.quality),
            "credible_sets": None if self.sets is None else self.sets.to_dicts(),
            "scores": dict(self.scores),
            "report_bytes": self.report_bytes,
        }


def answers_of(
    run: Path,
    inputs: PriorInputs,
    annotations: Path,
    genotypes: Path,
    *,
    gtf: Path | None,
    workers: int | None,
    seconds: dict[str, float],
    progress: Progress = silent,
) -> Answers:
    """Uses a run for all it is good for; files lie beside it.

    Args:
        run: its folder.
        inputs: panel and summary statistics of the run.
        annotations: whose enrichment is estimated.
        genotypes: of the individuals who are scored.
        gtf: genes to draw.
        workers: processes of quality control and fine-mapping.
        seconds: what each step took is added here.
        progress: told about windows and loci.
    """
    folder = run.parent
    where = Workers(workers=workers)
    with timed(seconds, "h2"):
        found = heritability(source_of_run(run), open_annotations(annotations), progress=progress)
        write_heritability(found, folder / "H")
    with timed(seconds, "qc"):
        quality = quality_control(inputs, where=where, progress=progress)
        write_quality(quality, folder / "Q")
    with timed(seconds, "finemap"):
        sets = _credible_sets(run, folder / "F", where, progress)
    with timed(seconds, "weights"):
        table = weights(run, effects=EffectsConfig(effects="normal"), progress=progress)
        write_weights(table, folder / "weights.tsv", run=run)
    with timed(seconds, "score"):
        scores = score(folder / "weights.tsv", genotypes, progress=progress)
        write_scores(scores, folder / "scores.tsv")
    with timed(seconds, "report"):
        mapped = None if sets is None else folder / "F"
        config = ReportConfig(finemap=mapped, h2=folder / "H", qc=folder / "Q", gtf=gtf)
        size = write_report(run, folder / REPORT, config, command="varfx demo prior", progress=progress)
    marks = {str(mark): int(count) for mark, count in quality.windows["qc"].value_counts(sort=True).iter_rows()}
    numbers = {
        "n_individuals": scores.people.height,
        "n_variants": scores.num_variants,
        "sd": float(scores.total[0].std()),
    }
    return Answers(heritability=found, quality=marks, sets=sets, scores=numbers, report_bytes=size)


def _credible_sets(run: Path, out: Path, where: Workers, progress: Progress) -> pl.DataFrame | None:
    """Fine-maps all loci and writes the files; None where there is no locus."""
    study = study_of_run(run, PriorInputs(), None)
    try:
        mapping = finemap(study, where=where, progress=progress)
    except DataError as error:
        logger.warning("no fine-mapping: %s", error)
        return None
    write_files(mapping, out)
    return set_table(mapping)
