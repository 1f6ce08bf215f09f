"""`varfx twas`: association of predicted expression with a trait."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from varfx.cli.console import console, print_ledger, print_notes, progress_bar
from varfx.cli.options import Out, as_options
from varfx.expression.twas.config import TwasConfig
from varfx.genome.matching import Matching
from varfx.io.output_lock import one_writer

if TYPE_CHECKING:
    from varfx.expression.twas.twas import TwasResult

as_options(Matching)
Config = Annotated[TwasConfig, as_options(TwasConfig)]
ROWS = 20  # of the table on the screen


@one_writer
def twas(
    *,
    weights: Path,
    sumstats: Path,
    panel: Path,
    out: Out,
    config: Config = TwasConfig(),
    json: Path | None = None,
) -> None:
    """Test genes' predicted expression against a trait, from summary statistics and LD.

    S-PrediXcan's z with the panel's LD. Beside each gene stand the trait's best variant near by, its LD with the model, what is left of
    either given the other, and words of caution: an association is no sign that the gene is the cause.

        varfx twas --weights W.db --sumstats S.parquet --panel P.ld.zarr --out T.tsv
        varfx twas --weights W.pos --sumstats S.parquet --panel chr@.ld.zarr --out T.tsv

    Args:
        weights: A PredictDB database or a POS file of FUSION (`varfx expr export`, or anybody's).
        sumstats: Cleaned summary statistics (`varfx sumstats clean`).
        panel: LD panel (`varfx ld build`); @ in its name stands for the chromosome.
        out: The table to make, a row per gene.
        json: Write the counts of variants, and the genes without a test, to this file.
    """
    from varfx.expression.twas.twas import twas as test_genes
    from varfx.io import sealed
    from varfx.io.run_folder import check_parent

    for path in filter(None, (out, json)):
        check_parent(path)
    with progress_bar() as progress:
        found = test_genes(weights, sumstats, panel, config, progress=progress)
    with sealed.atomic_path(out) as partial:
        found.table.write_csv(partial, separator="\t", null_value="NA")
    if json is not None:
        options = {"model": config.model, "flank": config.flank, "min_used": config.min_used, **vars(config.matching)}
        inputs: dict[str, str | Path] = {"weights": weights, "sumstats": sumstats, "panel": panel}
        content = {
            "trait": found.trait,
            "genes": found.table.height,
            "untested": found.untested,
            "ledgers": found.ledgers,
        }
        sealed.write_json(json, content | {"notes": found.notes, "provenance": sealed.provenance(options, inputs)})
    _show(found)
    console.print(f"{out}: {found.table.height:,} genes against {found.trait}", soft_wrap=True)


def _show(found: TwasResult) -> None:
    threshold = 0.05 / found.table.height
    table = Table(
        title=f"{found.trait}: {found.table.filter(found.table['p'] < threshold).height} of {found.table.height:,} genes with p < {threshold:.1e}"
    )
    for heading in ("gene", "name", "z", "p", "variants", "best variant", "its z", "r2", "given the gene", "caution"):
        table.add_column(heading)
    for row in found.table.sort("neg_log10_p", descending=True).head(ROWS).iter_rows(named=True):
        table.add_row(
            row["gene"], row["gene_name"] or "", f"{row['z']:.2f}", f"{row['p']:.1e}", f"{row['n_snps_used']} of {row['n_snps_in_model']}",
            row["best_variant"] or "", f"{row['best_z']:.2f}", f"{row['r2_top_best']:.2f}", f"{row['best_z_given_gene']:.2f}", row["caution"],
        )  # fmt: skip
    console.print(table)
    for name, ledger in found.ledgers.items():
        print_ledger(ledger, f"{name}: ")
        print_notes(str(step["note"]) for step in ledger if step["step"] == "note")
    if found.untested:
        first, reason = next(iter(found.untested.items()))
        console.print(f"note: {len(found.untested):,} genes have no test, first {first}: {reason}", soft_wrap=True)
    print_notes(found.notes)
