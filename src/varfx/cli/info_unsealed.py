"""What `varfx info` says of files and folders that carry no checksums: tables of text, JSON, experiments, demonstrations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from varfx.errors import FormatError, StoreError
from varfx.genome.builds import said
from varfx.io import sealed

Rows = list[tuple[str, str]]
# Columns or keys that only one of our files has, the most telling first.
_TABLES = (
    ({"motif", "p_ref", "p_alt"}, "motifs of variants (varfx expr explain)"),
    ({"state", "n_hsv", "log2_enrichment"}, "enrichment of variants in states (varfx expr explain)"),
    ({"control_variant_id", "pip"}, "fine-mapped eQTLs and their controls (varfx expr explain)"),
    ({"gene", "z", "n_snps_used"}, "associations of genes (varfx twas)"),
    ({"WGT", "ID", "P0", "P1"}, "models of genes for FUSION (varfx expr export)"),
    ({"SNPVAR"}, "prior variances in PolyFun's layout (varfx prior predict)"),
    ({"ID", "A1", "WEIGHT"}, "weights for plink2 --score (varfx prior weights)"),
    ({"effect_allele", "effect_weight"}, "PGS Catalog scoring file (varfx prior weights)"),
    ({"pip"}, "inclusion probabilities (varfx finemap)"),
    ({"gene_id", "model", "pcc"}, "scores of expression models (varfx expr evaluate)"),
    ({"effect_allele", "f"}, "prior variances (varfx prior predict)"),
)
_JSON = (
    ({"pairwise_accuracy", "auroc"}, "scores judged by fine-mapped eQTLs (varfx expr explain)"),
    ({"explained_genes"}, "explanation of variants (varfx expr explain)"),
    ({"trait", "untested"}, "counts of associations of genes (varfx twas)"),
    ({"traits", "windows", "notes"}, "evaluation of a prior (varfx prior evaluate)"),
    ({"models", "differences"}, "scores of expression models (varfx expr evaluate)"),
    ({"h2"}, "heritability (varfx prior ldsc)"),
    ({"tot"}, "heritability (varfx prior ldsc)"),
    ({"model", "genes"}, "variant scores (varfx expr variants)"),
    ({"exported", "variance_lacking"}, "LD for another tool (varfx ld export)"),
    ({"credible_sets"}, "fine-mapping (varfx finemap)"),
)


def unsealed_file(path: Path) -> tuple[Rows, dict[str, Any]]:
    """Rows on a file of text or JSON, and its metadata.

    Raises:
        StoreError: neither, or nothing of ours.
    """
    if path.suffix == ".json":
        return _json(path)
    if path.name == "options.yaml":
        return [("kind", "options, for --config"), *_options(path)], {}
    if path.name == "log.txt":
        return [("kind", "log of a command"), *[(name, value) for name, value in _log(path)]], {}
    from varfx.expression.twas.predictdb import is_predictdb
    from varfx.io.text_table import open_table

    if is_predictdb(path):
        return _predictdb(path), {}
    try:
        table = open_table(path)
        names = set(table.names) | {name.partition(".")[0] for name in table.names}
        kind = next((what for columns, what in _TABLES if columns <= names), None)
        height = sum(frame.height for frame in table.frames([0], frozenset())) if kind else 0
    except FormatError:
        kind = None
    if kind is None:
        raise StoreError(f"`{path}` was not written by varfx, or is damaged.")
    return [("kind", kind), ("rows", f"{height:,}"), ("columns", ", ".join(table.names))], {}


def _predictdb(path: Path) -> Rows:
    from varfx.expression.twas.predictdb import read_predictdb

    models = read_predictdb(path)
    rows = [("kind", "PredictDB (varfx expr export)"), ("genes", f"{models.genes.height:,}")]
    rows += [("weights", f"{models.weights.height:,}"), ("genome build", said(models.build))]
    return [*rows, ("model", ", ".join(models.genes["model"].unique().drop_nulls()))]


def unsealed_folder(path: Path) -> tuple[Rows, dict[str, Any]] | None:
    """Rows on an experiment, exported LD or a demonstration; None for other folders."""
    results = path / "results.json"
    if (path / "experiment.json").is_file():
        cells = [each for each in (path / "cells").glob("*") if (each / "result.json").is_file()]
        rows = [("kind", "experiment"), ("state", "finished" if results.is_file() else "unfinished: --resume goes on")]
        rows.append(("finished fits", f"{len(cells):,}"))
        if results.is_file():
            entries = sealed.read_json(results)
            for what, name in (("models", "model"), ("objectives", "objective"), ("traits", "trait")):
                rows.append((what, ", ".join(dict.fromkeys(str(each[name]) for each in entries))))
        return [*rows, *_log(path / "log.txt")], {}
    if (path / "export.json").is_file():
        return _json(path / "export.json")
    if results.is_file() and not (path / sealed.MANIFEST).is_file():
        held = sorted(each.name for each in path.iterdir() if not each.name.startswith("."))
        return [("kind", "demonstration"), ("holds", ", ".join(held)), *_log(path / "log.txt")], {}
    return None


def _json(path: Path) -> tuple[Rows, dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"`{path}` cannot be read as JSON. Check that it is whole.") from error
    if isinstance(content, list) and content and isinstance(content[0], Mapping) and "model" in content[0]:
        return [("kind", "results of an experiment"), ("entries", f"{len(content):,}")], {}
    kind = next((what for keys, what in _JSON if isinstance(content, Mapping) and keys <= content.keys()), None)
    if kind is None and not (isinstance(content, Mapping) and "provenance" in content):
        raise StoreError(f"`{path}` is no JSON that varfx has written.")
    rows = [("kind", kind or "results"), ("holds", ", ".join(map(str, content)))]
    rows += [
        (f"trait {trait.get('name')}", f"gain {trait['gain']:.2f} nats in {trait.get('n_windows')} windows")
        for trait in (content.get("traits", []) if kind else [])
        if isinstance(trait, Mapping) and "gain" in trait
    ]
    return rows, {"provenance": content.get("provenance") or {}}


def _options(path: Path) -> Rows:
    from varfx.io.yaml_text import read_yaml

    options = read_yaml(path) or {}
    return [(str(name), str(value)) for name, value in options.items()] if isinstance(options, dict) else []


def _log(path: Path) -> Rows:
    """The lines `name: value` of a log that are not indented."""
    if not path.is_file():
        return []
    lines = [line.partition(": ") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(" ")]
    return [(name, value) for name, colon, value in lines if colon]
