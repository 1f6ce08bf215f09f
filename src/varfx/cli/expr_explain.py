"""`varfx expr explain`: what high-scoring variants do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    logos: Path | None = None,
    logo_genes: int = 6,
    cohort: Annotated[Path | None, Parameter()] = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    config: Config = ExplainConfig(),
) -> None:
    """Explain high-scoring variants: motifs they make or break, states they lie in, fine-mapped eQTLs.

    Each comparison is with other scored variants of the same gene, at a like distance to its TSS and of a like frequency. Of --motifs,
    --states and --eqtl at least one is needed.

        varfx expr explain RUN --motifs M.meme --states peaks.bed.gz --out E
        varfx expr explain NETWORK --motifs M.meme --logos pictures --out E
        varfx expr explain SCORES.parquet --eqtl credible_sets.tsv.gz --out E

    Args:
        scores: A run of `varfx expr fit` or `varfx expr baseline`, or the table of `varfx expr variants --long`.
        out: The beginning of all names: OUT.motifs.tsv.gz, OUT.enrichment.tsv, OUT.eqtl.json, OUT.controls.tsv, OUT.json.
        motifs: Motifs in MEME format (HOCOMOCO, JASPAR).
        states: BED files of states (names in the fourth column) or peaks: PATH or NAME=PATH.
        eqtl: Fine-mapped eQTLs: credible sets of the eQTL Catalogue, or gene_id, variant, pip and beta.
        baseline: A run with elastic nets: a gene's high-scoring variants are as many as its elastic net has.
        logos: Of a network: draw gradients and mutagenesis around each gene's highest-scoring variant into this folder.
        logo_genes: Genes to draw, by their variant's |score|.
        cohort: Where the run's cohort lies, if it moved.
        overwrite: Replace the files of an earlier explanation.
    """
    from varfx.expression.explain.explain import check_explained, explain_variants, write_explained
    from varfx.io.run_folder import check_parent

    check_parent(out)
    check_explained(out, overwrite=overwrite)
    if logos is not None:
        check_parent(logos)
    with progress_bar() as progress:
        found = explain_variants(
            scores, config, motifs=motifs, states=states, eqtl=eqtl, baseline=baseline, cohort=cohort, progress=progress
        )
    drawn = 0 if logos is None else _draw(found, logos, logo_genes, cohort)
    given = {"scores": scores, "motifs": motifs, "eqtl": eqtl, "baseline": baseline}
    inputs = {name: path for name, path in given.items() if path is not None}
    inputs |= {f"states.{number}": Path(text.rpartition("=")[2]) for number, text in enumerate(states)}
    paths = write_explained(found, out, config=config, inputs=inputs)
    _show(found)
    if drawn:
        console.print(f"{logos}: {drawn} pictures", soft_wrap=True)
    print_notes(found.notes)
    console.print(f"written: {', '.join(map(str, paths))}", soft_wrap=True)


def _draw(found: Explained, folder: Path, count: int, cohort: Path | None) -> int:
    """Writes a picture per gene, and says how many."""
    from varfx import report
    from varfx.expression.explain.around import around_top
    from varfx.io.file_names import as_file_name
    from varfx.report.logos import logos

    pictures = {}
    for row, around in around_top(found.run, cohort, found.scores, count):
        name = row["variant_id"] or f"{row['chrom']}:{row['position']}"
        title = f"{row['gene_id']}, {name} {row['other_allele']}>{row['effect_allele']}: homozygous effect {around.effect:+.3g} sd"
        rows = [
            ("gradient, reference", around.ref, around.gradient_ref),
            ("gradient, ALT", around.alt, around.gradient_alt),
            ("mutagenesis, reference", around.ref, around.mutagenesis),
        ]
        below = _best_motif(found, row)
        pictures[f"{as_file_name(row['gene_id'])}.png"] = logos(
            rows, first=around.first, marked=around.marked, title=title, below=below
        )
    folder.mkdir(exist_ok=True)
    report.save_all(pictures, folder)
    return len(pictures)


def _best_motif(found: Explained, row: dict[str, Any]) -> str:
    """The motif that a variant changes most, in words."""
    if found.motifs is None:
        return ""
    name = f"{row['chrom']}:{row['position']}:{row['other_allele']}:{row['effect_allele']}"
    mine = found.motifs.filter((found.motifs["variant"] == name) & (found.motifs["gene_id"] == row["gene_id"]))
    if not mine.height:
        return ""
    best = mine.sort(mine["delta"].abs(), descending=True).row(0, named=True)
    return f"{best['effect']} of {best['motif']} ({best['strand']}), {best['delta']:+.1f} bits"


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
