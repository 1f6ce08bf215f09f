"""The demo's work: from a reference, a GWAS and intervals to three fitted priors and their held-out scores."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from varfx import gwas
from varfx.annotations import BedSpec, build_annotations
from varfx.demos.answers import Answers, answers_of
from varfx.demos.download import DemoData
from varfx.demos.timing import timed
from varfx.errors import DataError
from varfx.genotypes.open_ld import open_source
from varfx.gwas.sumstats import SumStats
from varfx.io import sealed
from varfx.io.working_folder import make_folder
from varfx.ld import Core, LDPanel, PanelConfig, build_panel
from varfx.models import ModelConfig
from varfx.models.config import Kind
from varfx.prior.config import SplitConfig
from varfx.prior.evaluate import Evaluation, evaluate
from varfx.prior.files import PriorInputs
from varfx.prior.fit import FitOptions, fit_inputs
from varfx.prior.predict import predict, write_prediction
from varfx.prior.run import Run
from varfx.progress import Progress, silent
from varfx.training import TrainConfig

logger = logging.getLogger(__name__)
MODELS: tuple[Kind, ...] = ("constant", "linear", "mlp")
HOLDOUT_FRACTION = 0.25
MAF = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Demo:
    """Results of the demonstration.

    Attributes:
        folder: where all files are.
        stats: the cleaned GWAS.
        panel: the LD panel.
        channels: names of the annotations.
        uncovering: BED files that were left out, because they cover no variant of the panel.
        runs: a fit per model.
        evaluations: held-out scores per model; the others than constant are compared with it.
        prior: f of each variant under the last model.
        answers: what the last model was used for.
        seconds: what each step took.
    """

    folder: Path
    stats: SumStats
    panel: LDPanel
    channels: tuple[str, ...]
    uncovering: tuple[str, ...]
    runs: dict[str, Run]
    evaluations: dict[str, Evaluation]
    prior: pl.DataFrame
    answers: Answers
    seconds: dict[str, float]

    @property
    def held_out(self) -> list[Core]:
        """The windows that no fit saw."""
        names = set(self.runs[MODELS[0]].record["split"]["holdout"])
        return [core for core in self.panel.cores if core.name in names]


def beds_in(folder: Path) -> list[Path]:
    """The BED files in a folder of data: in its `annotations`, or where there is no such folder in itself.

    Raises:
        DataError: there are none.
    """
    place = folder / "annotations" if (folder / "annotations").is_dir() else folder
    found = sorted([*place.glob("*.bed"), *place.glob("*.bed.gz")])
    if not found:
        raise DataError(f"`{folder}` holds no BED files (*.bed, *.bed.gz), nor does its folder `annotations`.")
    return found


def run_demo(
    source: DemoData,
    out: str | os.PathLike[str],
    *,
    beds: Sequence[Path] = (),
    gtf: Path | None = None,
    workers: int | None = None,
    seed: int = 0,
    training: TrainConfig | None = None,
    progress: Progress = silent,
) -> Demo:
    """Cleans, builds, fits, evaluates and answers; writes everything below `out`, `results.json` last.

    Args:
        source: the genotypes of the LD reference, and the GWAS.
        out: the folder to write to; files of an earlier demo in it are replaced.
        beds: 0/1 annotations, beside frequency, minor-allele frequency and LD score.
        gtf: genes of hg19 for the report.
        workers: processes of the LD build, quality control and fine-mapping.
        seed: of the split, the first weights and the bootstrap.
        training: steps and learning rates, where not the defaults.
        progress: told about windows and steps.

    Raises:
        VarfxError: a file that cannot be read or written.
    """
    folder = make_folder(out)
    training = training or TrainConfig(seed=seed)
    seconds: dict[str, float] = {}
    names = ("height.sumstats.parquet", "chr22.ld.zarr", "chr22.annot.parquet")
    sumstats, panel_path, annotations = (folder / name for name in names)
    files = PriorInputs(panel=panel_path, sumstats=(sumstats,), annotations=annotations)
    with timed(seconds, "sumstats clean"):
        stats = gwas.clean(source.gwas, out=sumstats, trait="height")
    with timed(seconds, "ld build"):
        panel = _panel(source.genotypes, panel_path, workers, progress)
    with timed(seconds, "annot build"):
        channels, uncovering = _annotate(panel, beds, annotations)
    runs, evaluations = _fit_models(files, folder, training, seed, seconds, progress)
    prior = predict(folder / MODELS[-1])
    write_prediction(prior, folder / "prior.parquet", run=folder / MODELS[-1])
    answers = answers_of(
        folder / MODELS[-1],
        PriorInputs(panel=panel_path, sumstats=(sumstats,)),
        annotations,
        source.genotypes,
        gtf=gtf,
        workers=workers,
        seconds=seconds,
        progress=progress,
    )
    demo = Demo(
        folder=folder,
        stats=stats,
        panel=panel,
        channels=channels,
        uncovering=uncovering,
        runs=runs,
        evaluations=evaluations,
        prior=prior,
        answers=answers,
        seconds=seconds,
    )
    sealed.write_json(folder / "results.json", results(demo))
    return demo


def _fit_models(
    files: PriorInputs, folder: Path, training: TrainConfig, seed: int, seconds: dict[str, float], progress: Progress
) -> tuple[dict[str, Run], dict[str, Evaluation]]:
    """A fit of each model and its held-out scores; those of the others than constant beside the constant prior's."""
    runs: dict[str, Run] = {}
    evaluations: dict[str, Evaluation] = {}
    split = SplitConfig(holdout_fraction=HOLDOUT_FRACTION, seed=seed)
    for kind in MODELS:
        options = FitOptions(model=ModelConfig(kind=kind), training=training, split=split)
        with timed(seconds, f"fit {kind}"):
            runs[kind] = fit_inputs(files, folder / kind, options, overwrite=True, progress=progress)
        with timed(seconds, f"evaluate {kind}"):
            reference = None if kind == MODELS[0] else folder / MODELS[0]
            evaluations[kind] = evaluate(folder / kind, compare_with=reference, seed=seed, progress=progress)
    return runs, evaluations


def results(demo: Demo) -> dict[str, object]:
    """The numbers of a demo, JSON-able: what was used, each model's evaluation, and seconds per step."""
    split = demo.runs[MODELS[0]].record["split"]
    return {
        "n_variants": demo.panel.variants.height,
        "n_people": demo.panel.num_people,
        "rank_variance": demo.panel.metadata["config"]["rank_variance"],
        "channels": list(demo.channels),
        "windows": {part: len(names) for part, names in split.items()},
        "models": {
            kind: {**evaluation.to_dict(), "outcome": demo.runs[kind].record["outcome"]}
            for kind, evaluation in demo.evaluations.items()
        },
        "answers": demo.answers.to_dict(),
        "seconds": {step: round(value, 2) for step, value in demo.seconds.items()},
    }


def _panel(genotypes: Path, out: Path, workers: int | None, progress: Progress) -> LDPanel:
    source = open_source([genotypes], maf=MAF)
    config = PanelConfig()
    return build_panel(source, out, config, workers=workers, overwrite=True, inputs=[genotypes], progress=progress)


def _annotate(panel: LDPanel, beds: Sequence[Path], out: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Writes the annotations; returns the channels, and those of BED files that cover no variant and were left out."""
    provenance = sealed.provenance({}, {"panel": panel.path, **{path.name: path for path in beds}})
    built = build_annotations(
        panel.variants,
        [BedSpec(path) for path in beds],
        panel_name=str(panel.path),
        metadata={"provenance": provenance},
    )
    covering = [name for name in built.channels if (built.table[name] != 0).any()]
    uncovering = tuple(name for name in built.channels if name not in covering)
    if uncovering:
        logger.info("%d BED files cover no variant: %s", len(uncovering), ", ".join(uncovering))
    kept = type(built)(table=built.table.drop(uncovering), metadata=built.metadata)
    kept.write(out)
    return kept.channels, uncovering
