"""Scores judged by fine-mapped eQTLs: which of a causal variant and a matched control scores higher, and is the sign right.

Positives have an inclusion probability above `min_pip`; a control is a scored variant of the same gene below `max_pip` (or in no
credible set) in the same bin of distance to the TSS and with a like frequency, one for each positive. Pairs are published.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64
from numpy import ndarray

from varfx.bootstrap import counts_of_individuals
from varfx.errors import DataError, FormatError
from varfx.expression.explain.config import ExplainConfig
from varfx.expression.explain.matching import balance, matched_controls
from varfx.genome import variants
from varfx.genome.gtf import bare_gene_id
from varfx.io.text_numbers import MISSING, whole
from varfx.io.text_table import open_table, refuse_alike

_ROLES = {
    "gene_id": "gene",
    "gene": "gene",
    "molecular_trait_id": "gene",
    "phe_id": "gene",
    "variant": "variant",
    "variant_id": "variant",
    "chrom": "chrom",
    "chromosome": "chrom",
    "chr": "chrom",
    "position": "position",
    "pos": "position",
    "ref": "other_allele",
    "other_allele": "other_allele",
    "alt": "effect_allele",
    "effect_allele": "effect_allele",
    "pip": "pip",
    "beta": "beta",
    "slope": "beta",
}
_FIRST = ("gene_id", "molecular_trait_id")  # of these two eQTL Catalogue has both: gene_id is the gene


@dataclass(frozen=True, eq=False)
class EqtlEvaluation:
    """Judgement by fine-mapped eQTLs.

    Attributes:
        record: JSON-able: numbers of variants, `pairwise_accuracy`, `auroc`, `auprc`, `sign_accuracy`, with errors.
        pairs: each positive with its control.
    """

    record: dict[str, Any]
    pairs: pl.DataFrame


def read_fine_mapping(path: str | os.PathLike[str]) -> pl.DataFrame:
    """Fine-mapped variants: `gene, chrom, position, effect_allele, other_allele, pip, beta`.

    Args:
        path: the eQTL Catalogue's `*.credible_sets.tsv.gz`, or a table with a gene, a variant (`chr1_1000_REF_ALT`, or chrom,
            position, ref and alt), `pip` and, of ALT, `beta`.

    Raises:
        FormatError: a column is missing.
        DataError: pip that is no probability, or variants that are none.
    """
    table = open_table(path)
    lower = [name.lower() for name in table.names]
    refuse_alike(table.names, tuple(_ROLES), path)
    columns: dict[str, int] = {}
    for number, name in enumerate(lower):
        role = _ROLES.get(name)
        if role is not None and (role not in columns or name == _FIRST[0]):
            columns[role] = number
    placed = {"chrom", "position", "other_allele", "effect_allele"} <= set(columns)
    lacking = [name for name in ("gene", "pip") if name not in columns] + (
        [] if placed or "variant" in columns else ["variant"]
    )
    if lacking:
        raise FormatError(
            f"`{path}` lacks the column {lacking[0]}: a table of fine-mapped eQTLs has gene_id, variant (chr1_1000_REF_ALT) and pip. "
            f"It has {', '.join(table.names[:12])[:160]}."
        )
    parts = list(table.frames(list(columns.values()), MISSING))
    frame = (
        pl.concat(parts) if parts else pl.DataFrame(schema={str(number): pl.String() for number in columns.values()})
    )
    read = frame.select(pl.col(str(number)).alias(role) for role, number in columns.items())
    if not placed:
        unpacked = variants.unpack_key(read["variant"])
        read = pl.concat([read.drop(unpacked.columns, strict=False), unpacked], how="horizontal")
    result = read.select(
        pl.col("gene").map_elements(bare_gene_id, return_dtype=pl.String()),
        variants.chrom_expr("chrom"),
        whole(read["position"]).alias("position") if placed else pl.col("position"),
        pl.col("effect_allele", "other_allele").str.to_uppercase(),
        pl.col("pip").cast(pl.Float64, strict=False),
        (pl.col("beta").cast(pl.Float64, strict=False) if "beta" in columns else pl.lit(None, pl.Float64)).alias(
            "beta"
        ),
    )
    bad = ~pl.col("pip").is_between(0, 1 + 1e-9).fill_null(False)
    variants.require_no(
        result.select(bad.alias("bad"))["bad"],
        result,
        "pip is no probability",
        "Correct or remove these rows.",
        source=str(path),
    )
    unplaced = result["position"].is_null()
    variants.require_no(
        unplaced, result, "the variant is not chrom_position_ref_alt", "Remove these rows.", source=str(path)
    )
    return result


def evaluate_eqtls(table: pl.DataFrame, fine: pl.DataFrame, config: ExplainConfig) -> EqtlEvaluation:
    """Judges scores.

    Args:
        table: `gene_id, chrom, position, effect_allele, other_allele, tss_distance, eaf, weight` of scored variants.
        fine: of `read_fine_mapping`.
        config: thresholds and seed.

    Raises:
        DataError: none of the positives is scored, or none has a control.
    """
    best = fine.sort("pip", descending=True).unique(["gene", *variants.KEY], keep="first", maintain_order=True)
    joined = _joined(table, best)
    pip = joined["pip"].fill_null(0.0).to_numpy()
    covered = joined["gene_id"].is_in(best["gene"].unique().to_list()).to_numpy()
    cases, pool = pip > config.min_pip, (pip < config.max_pip) & covered
    positives = best.filter(pl.col("pip") > config.min_pip)
    if not cases.any():
        raise DataError(
            f"none of the {positives.height:,} variants with pip above {config.min_pip:g} is scored for its gene. Check genes and genome build."
        )
    rows = np.flatnonzero(cases)
    controls = matched_controls(joined, cases, pool, config.seed)
    paired = controls >= 0
    record: dict[str, Any] = {
        "positives_in_file": positives.height,
        "positives_scored": int(rows.size),
        "positives_without_control": int((~paired).sum()),
        "genes": int(joined["gene_id"][rows].n_unique()),
        "min_pip": config.min_pip,
        "max_pip": config.max_pip,
    }
    size = np.abs(joined["weight"].to_numpy())
    record |= _pairwise(size[rows[paired]], size[controls[paired]], joined["gene_id"].to_numpy()[rows[paired]], config)
    record |= _against_all(size[cases], size[pool])
    record |= _signs(joined, rows)
    record["balance"] = balance(joined, rows[paired], controls[paired])
    return EqtlEvaluation(record, _pairs(joined, rows[paired], controls[paired]))


def _joined(table: pl.DataFrame, fine: pl.DataFrame) -> pl.DataFrame:
    """The scored variants with pip and beta of their effect allele; alleles may stand in either order."""
    swapped = fine.with_columns(effect_allele="other_allele", other_allele="effect_allele", beta=-pl.col("beta"))
    every = pl.concat([fine, swapped.select(fine.columns)]).unique(
        ["gene", *variants.KEY], keep="first", maintain_order=True
    )
    return table.join(
        every.rename({"gene": "gene_id"}), on=["gene_id", *variants.KEY], how="left", maintain_order="left"
    )


def _pairwise(positive: ndarray, control: ndarray, gene: ndarray, config: ExplainConfig) -> dict[str, Any]:
    """Accuracy over pairs (ties count half) with standard error, and areas with intervals over genes."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    count = positive.size
    if not count:
        return {
            "pairs": 0,
            "pairwise_accuracy": None,
            "pairwise_se": None,
            "auroc": None,
            "auroc_ci95": None,
            "auprc": None,
            "prevalence": None,
        }
    right = (positive > control) + 0.5 * (positive == control)
    accuracy = float(right.mean())
    label = np.concatenate([np.ones(count), np.zeros(count)])
    value = np.concatenate([positive, control])
    genes, number = np.unique(gene, return_inverse=True)
    ends = None
    if genes.size > 1:
        weights = counts_of_individuals(genes.size, config.samples, config.seed)
        areas = _areas(positive, control, weights[:, number])
        ends = [float(end) for end in np.quantile(areas, [0.025, 0.975])]
    return {
        "pairs": count,
        "pairwise_accuracy": accuracy,
        "pairwise_se": float(right.std(ddof=1) / count**0.5) if count > 1 else None,
        "auroc": float(roc_auc_score(label, value)),
        "auroc_ci95": ends,
        "auprc": float(average_precision_score(label, value)),
        "prevalence": 0.5,
    }


def _areas(
    positive: Float64[ndarray, " pair"], control: Float64[ndarray, " pair"], weights: Float64[ndarray, "sample pair"]
) -> Float64[ndarray, " sample"]:
    """Area under the ROC curve of each resampling of the pairs."""
    order = np.argsort(control)
    below = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights[:, order], axis=1)], axis=1)
    low, high = (np.searchsorted(control[order], positive, side=side) for side in ("left", "right"))
    return np.asarray((weights * (below[:, low] + below[:, high])).sum(axis=1) / (2 * weights.sum(axis=1) ** 2))


def _against_all(positive: ndarray, others: ndarray) -> dict[str, Any]:
    """Areas against all scored variants of the genes that are not fine-mapped, matched or not."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if not others.size:
        return {"auroc_unmatched": None, "auprc_unmatched": None, "prevalence_unmatched": None}
    label = np.concatenate([np.ones(positive.size), np.zeros(others.size)])
    value = np.concatenate([positive, others])
    return {
        "auroc_unmatched": float(roc_auc_score(label, value)),
        "auprc_unmatched": float(average_precision_score(label, value)),
        "prevalence_unmatched": positive.size / value.size,
    }


def _signs(joined: pl.DataFrame, rows: ndarray) -> dict[str, Any]:
    """Share of positives whose score has the sign of the eQTL, of those with both."""
    weight, beta = joined["weight"].to_numpy()[rows], joined["beta"].cast(pl.Float64).fill_null(0.0).to_numpy()[rows]
    known = (weight != 0) & (beta != 0)
    count = int(known.sum())
    share = float((np.sign(weight[known]) == np.sign(beta[known])).mean()) if count else None
    error = None if share is None else (share * (1 - share) / count) ** 0.5
    return {
        "signs": count,
        "sign_accuracy": share,
        "sign_se": error,
        "positives_with_score_0": int((weight == 0).sum()),
    }


def _pairs(joined: pl.DataFrame, cases: ndarray, controls: ndarray) -> pl.DataFrame:
    columns = ["variant_id", *variants.KEY, "tss_distance", "eaf", "weight", "pip"]
    first = joined[cases].select("gene_id", *columns)
    second = joined[controls].select(pl.col(columns).name.prefix("control_"))
    return pl.concat([first, second], how="horizontal")
