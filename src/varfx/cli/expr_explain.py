"""`varfx expr explain`: what high-scoring variants do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, print_notes, progress_bar
from varfx.cli.options import WORDS, Out, as_options
from varfx.expression.explain.config import ExplainConfig
from varfx.io.output_lock import one_writer

if TYPE_CHECKING:
    from varfx.expression.explain.explain import Explained

Config = Annotated[ExplainConfig, as_options(ExplainConfig)]
ROWS = 20  # of the table on the screen


@one_writer
def explain(
    scores: Path,
    /,
    *,
    out: Out,
    motifs: Path | None = None,
    states: Annotated[tuple[str, ...], WORDS] = (),
    eqtl: Path | None = None,
    baseline: Path | None = None,
    cohort: Annotated[Path | None, Parameter()] = None,
    config: Config = ExplainConfig(),
) -> None:
    """Explain high-scoring variants: motifs they make or break, states they lie in, fine-mapped eQTLs.

    Each comparison is with other scored variants of the same gene, at a like distance to its TSS and of a like frequency. Of --motifs,
    --states and --eqtl at least one is needed.

        varfx expr explain RUN --motifs M.meme --states peaks.bed.gz --out E
        varfx expr explain SCORES.parquet --eqtl credible_sets.tsv.gz --out E

    Args:
        scores: A run of `varfx expr fit` or `varfx expr baseline`, or the table of `varfx expr variants --long`.
        out: The beginning of all names: OUT.motifs.tsv.gz, OUT.enrichment.tsv, OUT.eqtl.json, OUT.controls.tsv, OUT.json.
        motifs: Motifs in MEME format (HOCOMOCO, JASPAR).
        states: BED files of states (names in the fourth column) or peaks: PATH or NAME=PATH.
        eqtl: Fine-mapped eQTLs: credible sets of the eQTL Catalogue, or gene_id, variant, pip and beta.
        baseline: A run with elastic nets: a gene's high-scoring variants are as many as its elastic net has.
        cohort: Where the run's cohort lies, if it moved.
    """
    from varfx.expression.explain.explain import explain_variants, write_explained
    from varfx.io.run_folder import check_parent

    check_parent(out)
    with progress_bar() as progress:
        found = explain_variants(
            scores, config, motifs=motifs, states=states, eqtl=eqtl, baseline=baseline, cohort=cohort, progress=progress
        )
    given = {"scores": scores, "motifs": motifs, "eqtl": eqtl, "baseline": baseline}
    inputs = {name: path for name, path in given.items() if path is not None}
    inputs |= {f"states.{number}": Path(text.rpartition("=")[2]) for number, text in enumerate(states)}
    paths = write_explained(found, out, config=config, inputs=inputs)
    _show(found)
    print_notes(found.notes)
    console.print(f"written: {', '.join(map(str, paths))}", soft_wrap=True)


def _show(found: Explained) -> None:
    if found.enrichment is not None:
        table = Table(title=f"high-scoring variants of {found.model} against matched controls, {found.genes:,} genes")
        for heading in ("state", "variants", "observed", "expected", "log2", "95 % interval", "p", "q"):
            table.add_column(heading)
        for row in found.enrichment.sort("p").head(ROWS).iter_rows(named=True):
            if row["p"] is None:
                continue
            bounds = "" if row["ci_low"] is None else f"{row['ci_low']:+.2f} to {row['ci_high']:+.2f}"
            table.add_row(
                row["state"], str(row["n_hsv"]), f"{row['observed']:.3f}", f"{row['expected']:.3f}",
                f"{row['log2_enrichment']:+.2f}", bounds, f"{row['p']:.2g}", f"{row['q']:.2g}",
            )  # fmt: skip
        console.print(table)
    if found.motifs is not None:
        strong = found.motifs.filter("strong")
        console.print(
            f"motifs: {found.motifs.height:,} matches of {found.motifs['variant'].n_unique():,} high-scoring variants and drivers differ between "
            f"alleles, {strong.height:,} strongly",
            soft_wrap=True,
        )
    if found.eqtl is not None:
        record = found.eqtl.record
        accuracy, error = record["pairwise_accuracy"], record["pairwise_se"]
        if accuracy is not None:
            within = "" if error is None else f" (s.e. {error:.3f})"
            console.print(
                f"fine-mapped eQTLs: pairwise accuracy {accuracy:.3f}{within} over {record['pairs']} pairs, auROC {record['auroc']:.3f}, "
                f"auPR {record['auprc']:.3f} at prevalence {record['prevalence']:g}",
                soft_wrap=True,
            )
        if record["sign_accuracy"] is not None:
            console.print(f"sign accuracy {record['sign_accuracy']:.3f} over {record['signs']}", soft_wrap=True)
