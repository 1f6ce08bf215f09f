"""The command that usually follows each command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

NEXT: dict[tuple[str, ...], str] = {
    ("sumstats", "clean"): "varfx prior fit --panel PANEL --sumstats {out} --holdout-fraction 0.2 --out RUN",
    ("ld", "build"): "varfx annot build --panel {out} --bed FILE.bed --out ANNOTATIONS.annot.parquet",
    (
        "annot",
        "build",
    ): "varfx prior fit --panel PANEL --sumstats SUMSTATS --annot {out} --holdout-fraction 0.2 --out RUN",
    ("tracks", "build"): "varfx prior fit --panel PANEL --sumstats SUMSTATS --tracks {out} --model enformer --out RUN",
    ("tracks", "average"): "varfx prior fit --panel PANEL --sumstats SUMSTATS --annot {out} --out RUN",
    ("prior", "fit"): "varfx prior evaluate {out}",
    ("finemap",): "varfx report RUN --finemap {out} --out report.html",
    ("qc",): "varfx report RUN --qc {out} --out report.html",
    ("prior", "weights"): "varfx score --weights {out} --genotypes TARGET.bed --out SCORES.tsv",
    ("prior", "h2"): "varfx prior score-test RUN --annot NEW.annot.parquet --json {out}.score-test.json",
    ("prior", "simulate"): "varfx prior fit --panel PANEL --sumstats {out}/replicates.sumstats.parquet --out RUN",
    ("expr", "prepare"): "varfx expr baseline {out} --out RUN",
    ("expr", "baseline"): "varfx expr evaluate {out}",
    ("expr", "select"): "varfx expr fit COHORT --genes {out} --out RUN",
    ("expr", "fit"): "varfx expr evaluate {out}",
    ("expr", "export"): "varfx twas --weights {out} --sumstats SUMSTATS --panel PANEL --out T.tsv",
    ("expr", "variants"): "varfx prior fit --panel PANEL --sumstats SUMSTATS --annot {out} --out RUN",
}


def next_step(commands: tuple[str, ...], words: Sequence[str], config: Mapping[str, Any]) -> str | None:
    """The next command line, with the file or folder that was just made; capitals stand for other files.

    Args:
        commands: the command that has ended well.
        words: its command line.
        config: its options from a file.
    """
    if commands not in NEXT:
        return None
    out, line = _given(("--out", "-o"), words, config), NEXT[commands]
    if not out:
        return None
    if commands == ("expr", "export") and _given(("--format",), words, config) == "prs":
        line = NEXT["prior", "weights"]
    panel = _given(("--panel",), words, config)
    if panel:
        line = line.replace("--panel PANEL", f"--panel {_literal(panel)}")
    return line.format(out=quote(out))


def _given(names: tuple[str, ...], words: Sequence[str], config: Mapping[str, Any]) -> str | None:
    """The value that an option has on the command line, else in the file."""
    value = config.get(names[0].removeprefix("--"))
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in names:
            value = following
        elif word.startswith(f"{names[0]}="):
            value = word.removeprefix(f"{names[0]}=")
    return None if not value else str(value)


def _literal(path: str) -> str:
    return quote(path).replace("{", "{{").replace("}", "}}")
