"""`varfx info`: what a file of ours holds, and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.cli.info_unsealed import unsealed_file, unsealed_folder
from varfx.cli.ledgers import ledger_tables
from varfx.errors import StoreError
from varfx.genome.builds import said
from varfx.io import sealed, sealed_folder

STORED = {
    "full": "eigenvectors and correlations",
    "shared": "correlations, of which the core's are the eigenvectors",
    "int8": "likewise, correlations with the flank in 8 bits",
}


def info(path: Path, /) -> None:
    """Say what a file or folder of varfx holds, what each step of its making left out, and whether it is whole.

    Every byte is checked, of what carries checksums; a damaged or unfinished file is an error.

        varfx info P.ld.zarr

    Args:
        path: Any file or folder that varfx writes: summary statistics, a panel, a run, a cohort, tracks, an experiment, scores, ...
    """
    if not path.exists():
        raise StoreError(f"`{path}` does not exist.")
    unsealed = None
    if path.is_dir():
        unsealed = unsealed_folder(path)
        rows, metadata = unsealed or _folder(path)
    elif sealed.table_kind(path) is None and path.suffix != ".parquet":
        rows, metadata = unsealed = unsealed_file(path)
    else:
        rows, metadata = _table(path)
    table = Table(show_header=False, title=str(path), title_justify="left")
    for name, value in rows:
        table.add_row(name, str(value))
    provenance = metadata.get("provenance", {})
    for name in ("varfx", "created"):
        if name in provenance:
            table.add_row({"varfx": "made by varfx", "created": "made on"}[name], str(provenance[name]))
    console.print(table)
    for ledger in ledger_tables(metadata):
        console.print(ledger)
    console.print("whole: every checksum is right" if unsealed is None else "this kind carries no checksums")


def _table(path: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    kind = sealed.table_kind(path)
    if kind is None:
        raise StoreError(f"`{path}` was not written by varfx, or is damaged.")
    frame, metadata = sealed.read_table(path, kind=kind)
    rows = [("kind", kind), ("rows", f"{frame.height:,}"), ("columns", ", ".join(frame.columns))]
    if "trait" in metadata:
        rows.append(("trait", str(metadata["trait"])))
    if "chrom" in frame.columns:
        chroms = frame["chrom"].drop_nulls().unique(maintain_order=True).to_list()
        rows.append(("chromosomes", ", ".join(chroms)))
    if "build" in metadata:
        rows.append(("genome build", said(metadata["build"])))
    if "n" in frame.columns:
        n = frame["n"].to_numpy()
        rows.append(("n", f"{n.min():,.0f} to {n.max():,.0f}"))
        rows.append(("mean chi2", f"{float((frame['z'] ** 2).mean() or 0):.4f}"))  # type: ignore[arg-type]
    return rows, metadata


def _folder(path: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    if path.name.endswith(".building"):
        raise StoreError(
            f"`{path}` is unfinished. Give the same `varfx ld build` or `varfx tracks build` command again to finish it."
        )
    if (path / "begun.json").is_file() and not (path / sealed.MANIFEST).is_file():
        raise StoreError(f"`{path}` is an unfinished run. Finish it with the command that began it and --resume.")
    with progress_bar() as progress:
        count = sealed_folder.check_directory(path, progress)
    if (path / "cohort.json").is_file():
        rows, metadata = _cohort(path)
    elif (path / "run.json").is_file() and (path / "predictions.parquet").is_file():
        rows, metadata = _expression_run(path)
    elif (path / "run.json").is_file():
        rows, metadata = _run(path)
    elif (path / "tracks.parquet").is_file():
        rows, metadata = _tracks(path)
    elif (path / "attribution.parquet").is_file():
        rows, metadata = _table(path / "attribution.parquet")
    elif (path / "truth.parquet").is_file():
        rows, metadata = _simulation(path)
    else:
        rows, metadata = _panel(path)
    return [*rows, ("files", f"{count:,}")], metadata


def _simulation(path: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    rows, metadata = _table(path / "truth.parquet")
    made = metadata["simulated"]
    rows = [("kind", "simulation"), *rows[1:], ("replicates", str(made["config"]["replicates"]))]
    rows += [(name, f"{made[name]:.4g}") for name in ("n", "sigma2", "mean_signal", "h2")]
    if made["linear_r2"] is not None:
        rows.append(("linear R2 of log f", f"{made['linear_r2']:.3f}"))
    return rows, metadata


def _run(path: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    from varfx.prior import open_run
    from varfx.prior.ancestries.run import has_ancestries

    if has_ancestries(path):
        return _ancestries(path)
    run = open_run(path)
    split = run.record["split"]
    rows = [
        ("kind", "run"),
        ("model", str(run.model.config.kind)),
        ("parameters", f"{sum(parameter.numel() for parameter in run.model.parameters()):,}"),
        ("channels", ", ".join(run.standardiser.channels) if run.standardiser else "none"),
        ("windows", ", ".join(f"{len(names)} {part}" for part, names in split.items())),
        ("panel", run.record["panel"]),
        ("genome build", said(run.build)),
    ]
    sparse = [
        (f"sparse effects of {trait['name']}", f"{1 - trait['mixture']['background']:.0%} of the variance")
        for trait in run.record["traits"]
        if "mixture" in trait
    ]
    return rows + _fitted(run.record, "trait") + sparse, run.record


def _ancestries(path: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    from varfx.prior.ancestries.run import open_ancestries

    joint = open_ancestries(path)
    rows = [("kind", f"run of {len(joint.members)} ancestries: {', '.join(joint.members)}")]
    for name, run in joint.members.items():
        windows = ", ".join(f"{len(names)} {part}" for part, names in run.record["split"].items())
        rows += [(f"panel of {name}", run.record["panel"]), (f"windows of {name}", windows)]
    return rows + _fitted(joint.record, "ancestry"), joint.record


def _fitted(record: dict[str, Any], what: str) -> list[tuple[str, str]]:
    """The fitted numbers of each trait."""
    return [
        (
            f"{what} {trait['name']}",
            f"n {trait['n_ref']:,.0f}, sigma2 {trait['sigma2']:.4f}, alpha {trait['alpha']:.3f} ({trait['alpha'] - 1:.3f} per allele)",
        )
        for trait in record["traits"]
    ]


def _expression_run(path: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    from varfx.expression.run import open_run

    run = open_run(path)
    rows = [
        ("kind", run.kind),
        ("models", ", ".join(run.record["models"])),
        ("genes", f"{len(run.record['genes']):,}"),
        ("folds", ", ".join(map(str, run.record["folds"]))),
        ("predictions", f"{run.predictions.height:,}"),
        ("cohort", run.record["cohort"]),
    ]
    return rows, run.record


def _cohort(path: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    from varfx.expression.cohort.store import open_cohort

    cohort = open_cohort(path)
    chroms = cohort.genes["chrom"].unique(maintain_order=True).to_list()
    folds = [cohort.fold(number) for number in range(cohort.num_folds)]
    rows = [
        ("kind", "expression cohort"),
        ("individuals", f"{len(cohort.people):,}"),
        ("folds", ", ".join(f"{fold.train.size} + {fold.tune.size} + {fold.test.size}" for fold in folds)),
        ("genes", f"{len(cohort.genes_train):,} for training, {len(cohort.genes_heldout):,} held out"),
        ("chromosomes", ", ".join(chroms)),
        ("window", f"{cohort.window:,} bases"),
        ("variants", f"{cohort.variants.height:,}, {'phased' if cohort.phased else 'not phased'}"),
        ("expression", f"{cohort.normalise}, {len(cohort.covariate_names)} covariates"),
        ("size", f"{sum(size for size, _ in sealed_folder.read_manifest(path).values()) / 2**20:,.1f} MiB"),
    ]
    return rows, cohort.metadata


def _tracks(path: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    from varfx.tracks.store import open_tracks

    store = open_tracks(path)
    rows = [
        ("kind", "tracks"),
        ("tracks", f"{store.tracks.height}: {', '.join(store.names)}"),
        ("genome build", said(store.build)),
        ("chromosomes", ", ".join(store.lengths)),
        ("bytes per base in memory", str(store.bytes_per_base())),
        ("size", f"{sum(size for size, _ in sealed_folder.read_manifest(path).values()) / 2**20:,.1f} MiB"),
    ]
    return rows, store.metadata


def _panel(path: Path) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    from varfx.ld import open_panel

    panel = open_panel(path)
    config, windows = panel.metadata["config"], panel.windows
    ranks = windows["rank"].to_numpy()
    rows = [
        ("kind", "LD panel"),
        ("variants", f"{panel.variants.height:,}"),
        ("genome build", said(panel.build)),
        ("individuals", f"{panel.num_people:,}"),
        ("windows", f"{windows.height:,} of {config['core']:,} bases, flank {config['flank']:,}"),
        ("chromosomes", ", ".join(windows["chrom"].unique(maintain_order=True).to_list())),
        (
            "rank",
            f"{ranks.min()} to {ranks.max()}, keeping {config['rank_variance']:g} of the LD variance",
        ),
        ("precision of B", str(config["dtype"])),
        ("stored", STORED[panel.storage]),
        ("missing regions", str(len(panel.metadata["missing"]))),
        ("size", f"{sum(size for size, _ in sealed_folder.read_manifest(path).values()) / 2**20:,.1f} MiB"),
    ]
    return rows, panel.metadata
