"""The long commands on small inputs: their words, and what their results are, apart from times."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Words = Callable[[Path], list[object]]
_TIMES = ("created", "seconds")
# Seals of the files beside them; drawn from results.json; times; options such as --workers.
_SEALS = ("manifest.json", "figure.png", "log.txt", "options.yaml")


@dataclass(frozen=True)
class Command:
    """One command line without its --out."""

    name: str
    words: Words
    """From the folder of inputs."""
    out: str
    """Name of the file or folder that it makes."""
    resume: bool = False
    """Whether it goes on with --resume; else the same command does."""
    extra: tuple[str, ...] = ()
    """Options of the first and of every further run."""
    beside: tuple[str, ...] = ()
    """Further files that it makes."""
    prefix: str = ""
    """What --out says where that is the beginning of several names; else `out`."""

    def line(self, inputs: Path, folder: Path, *more: object) -> list[object]:
        """The words as typed, with the output in `folder`."""
        return [*self.words(inputs), *self.extra, "--out", folder / (self.prefix or self.out), *more]

    def again(self, inputs: Path, folder: Path) -> list[object]:
        """The words that go on with interrupted work."""
        return self.line(inputs, folder, *(["--resume"] if self.resume else []))


_STEPS = [
    *("--model", "linear", "--holdout-chrom", "3", "--windows-per-step", "2", "--max-steps", "6", "--check-every", "2"),
    *("--engine", "exact", "--device", "cpu"),
]
_NETWORK = ["--width", "24", "--depth", "1", "--epochs", "1", "--batch", "7", "--device", "cpu"]
COMMANDS = (
    Command("sumstats clean", lambda at: ["sumstats", "clean", at / "gwas.tsv"], "S.sumstats.parquet"),
    Command(
        "ld build",
        lambda at: ["ld", "build", at / "ref.bed", "--maf", "0", "--core", 100_000, "--flank", 100_000, "--workers", 1],
        "P.ld.zarr",
    ),
    Command(
        "annot build",
        lambda at: ["annot", "build", "--panel", at / "P.ld.zarr", "--bed", at / "peaks.bed"],
        "A.annot.parquet",
    ),
    Command(
        "tracks build",
        lambda at: ["tracks", "build", "--bedgraph", f"a={at / 'a.bedgraph'}", f"b={at / 'b.bedgraph'}", "--build", "hg19", "--workers", 1],
        "T.tracks.zarr",
    ),
    Command(
        "prior fit",
        lambda at: ["prior", "fit", "--panel", at / "P.ld.zarr", "--sumstats", at / "height.sumstats.parquet", "--annot", at / "A.annot.parquet", *_STEPS],
        "RUN",
        resume=True,
    ),
    Command("prior weights", lambda at: ["prior", "weights", at / "RUN"], "W.tsv.gz", beside=("W.tsv.gz.effects.json",)),
    Command("prior predict", lambda at: ["prior", "predict", at / "RUN"], "F.prior.parquet"),
    Command("prior simulate", lambda at: ["prior", "simulate", "--panel", at / "P.ld.zarr"], "TRUTH"),
    Command(
        "finemap",
        lambda at: ["finemap", "--run", at / "RUN", "--loci", at / "peaks.bed"],
        "M.pip.tsv.gz",
        beside=("M.cs.tsv", "M.cs99.tsv", "M.loci.tsv", "M.json"),
        prefix="M",
    ),
    Command(
        "qc",
        lambda at: ["qc", "--panel", at / "P.ld.zarr", "--sumstats", at / "height.sumstats.parquet"],
        "Q.windows.tsv",
        beside=("Q.variants.tsv", "Q.json"),
        prefix="Q",
    ),
    Command("explain", lambda at: ["prior", "explain", at / "RUN", "--sample", 20, "--repeats", 1], "WHY"),
    Command("experiment", lambda at: ["experiment", at / "tiny.yaml", "--workers", 1], "EXPERIMENT", resume=True),
    Command(
        "expr prepare",
        lambda at: ["expr", "prepare", *(f"--{name}={at / 'study' / file}" for name, file in _STUDY.items()), "--window", 1024],
        "COHORT",
    ),
    Command("expr fit", lambda at: ["expr", "fit", at / "cohort", "--single-gene", *_NETWORK], "NETWORK", resume=True),
    Command(
        "expr baseline",
        lambda at: ["expr", "baseline", at / "cohort", "--models", "blup,top1", "--workers", 1],
        "BASELINES",
        resume=True,
    ),
    Command("expr variants", lambda at: ["expr", "variants", at / "BASELINES", "--model", "blup"], "V.annot.parquet"),
)  # fmt: skip
_STUDY = {
    "genotypes": "genotypes.vcf.gz",
    "expression": "expression.bed.gz",
    "covariates": "covariates.txt",
    "reference": "reference.fa",
    "gtf": "genes.gtf.gz",
}


def make_inputs(root: Path) -> None:
    """Writes the inputs of all commands; in a process of its own."""
    import polars as pl

    from cases.cohort import small_cohort
    from cases.prepare import make_study
    from cases.simulated_panel import simulate
    from varfx.cli.app import run

    root.mkdir(parents=True)
    simulated = simulate(root, people=60, chroms=3, cores=2, per_core=20)
    stats = pl.read_parquet(simulated.height)
    stats.select("chrom", "position", "variant_id", "effect_allele", "other_allele", "z", "n").write_csv(
        root / "gwas.tsv", separator="\t"
    )
    (root / "peaks.bed").write_text(
        "".join(f"chr{c}\t{s}\t{s + 9000}\n" for c in (1, 2, 3) for s in range(0, 200_000, 20_000))
    )
    for name, step in (("a", 70), ("b", 90)):
        runs = "".join(f"chr22\t{s}\t{s + 40}\t{s % 7}\n" for s in range(20_000_000, 20_020_000, step))
        (root / f"{name}.bedgraph").write_text(runs)
    (root / "tiny.yaml").write_text(
        "kind: fig3\ntitle: tiny\npanel: {path: P.ld.zarr}\ntruth: {seeds: [1], signal: {replicates: 2}}\n"
        "split: {holdout_chrom: [3]}\nmodels:\n- {name: line, kind: linear}\n- {name: flat, kind: constant}\n"
        "training: {max_steps: 4, check_every: 2}\n"
    )
    (root / "study").mkdir()
    make_study(root / "study")
    small_cohort(root, window=256, people=30, genes=2)
    for command in COMMANDS:
        if command.out in ("RUN", "BASELINES") and run([str(word) for word in command.line(root, root)]):
            raise RuntimeError(f"{command.name} failed on undamaged inputs")


def result_of(path: Path) -> dict[str, str]:
    """A digest of each file below an output, or of the output; times, and seals that depend on them, left out.

    A checksum of a file of the same output, which changes with the times in that file, counts as the name of the file.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    names = {file: file.relative_to(path).as_posix() if file != path else file.name for file in files}
    checksums = {hashlib.sha256(file.read_bytes()).hexdigest(): name for file, name in names.items()}
    return {
        name: hashlib.sha256(_content(file, checksums)).hexdigest()
        for file, name in names.items()
        if file.name not in _SEALS and not file.name.endswith(".lock")
    }


def _content(file: Path, checksums: Mapping[str, str]) -> bytes:
    import polars as pl

    if file.suffix == ".parquet":
        return pl.read_parquet(file.read_bytes()).write_csv().encode()
    if file.suffix == ".json":
        return json.dumps(_without_times(json.loads(file.read_bytes()), checksums)).encode()
    if file.suffix in (".csv", ".tsv"):
        separator = "\t" if file.suffix == ".tsv" else ","
        table = pl.read_csv(io.BytesIO(file.read_bytes()), separator=separator, infer_schema=False)
        return table.drop("seconds", strict=False).write_csv().encode()
    return file.read_bytes()


def _without_times(value: Any, checksums: Mapping[str, str]) -> Any:
    """JSON without times, and with names in place of the checksums of `checksums`."""
    if isinstance(value, dict):
        return {key: _without_times(each, checksums) for key, each in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [_without_times(each, checksums) for each in value]
    return checksums.get(value, value) if isinstance(value, str) else value
