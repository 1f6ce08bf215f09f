"""`heritability`: total heritability and enrichments of annotations under any variance prior, with standard errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool
from numpy import ndarray

from varfx.annotations.features import Features, HeldFeatures
from varfx.annotations.file import AnyAnnotations
from varfx.errors import DataError
from varfx.likelihood.ldsr_closed import BlockJackknife
from varfx.prior.heritability.calibrate import Calibration, calibrate, pieces_at
from varfx.prior.heritability.columns import AnnotationColumns, annotation_columns
from varfx.prior.heritability.config import HeritabilityConfig
from varfx.prior.heritability.directions import calibration_directions, independent_of, own_directions
from varfx.prior.heritability.quantities import (
    AnnotationHeritability,
    Estimate,
    GroupHeritability,
    QuantileColumns,
    Spread,
    Sums,
    annotation_heritability,
    group_heritability,
    liability_factor,
    quantile_cuts,
    spread_of,
    sums_of,
    t_interval,
    top_groups,
)
from varfx.prior.heritability.source import FEW_WINDOWS, PriorSource, describe
from varfx.prior.heritability.stacked import Stacked, as_features, level, row_blocks, triangle
from varfx.progress import Progress, silent

HIGH_SIGMA2 = 1.2
COLLINEAR = 1e-12  # singular value, of the largest, below which directions of a model are sums of others


@dataclass(frozen=True, kw_only=True, eq=False)
class Heritability:
    """Heritability and enrichments under a calibrated prior.

    Attributes:
        h2: of the counted variants, on the observed scale.
        h2_liability: on the liability scale, where prevalences are given.
        sigma2: residual variance of z.
        plug_in: h2 and sigma2 before calibration.
        annotations: one entry per annotation.
        base: the entry of all variants.
        top: variants of largest f before calibration.
        quantiles: of continuous annotations.
        coefficients: of a log-linear model: name, fitted, estimate, standard error.
        calibration: the parameters, their scores and information per window.
        record: what was used: trait, windows, blocks, variants, frequencies.
        notes: remarks for the reader.
    """

    h2: Estimate
    h2_liability: Estimate | None
    sigma2: Estimate
    plug_in: dict[str, float]
    base: AnnotationHeritability
    annotations: list[AnnotationHeritability]
    top: list[GroupHeritability]
    quantiles: list[tuple[str, GroupHeritability]]
    coefficients: list[dict[str, Any]]
    calibration: Calibration
    record: dict[str, Any]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """All numbers, JSON-able."""
        maximum = self.calibration.maximum
        return {
            **self.record,
            **flat("h2", self.h2),
            **(flat("h2_liability", self.h2_liability) if self.h2_liability else {}),
            **flat("sigma2", self.sigma2),
            "plug_in": self.plug_in,
            "annotations": [_flattened(each) for each in self.annotations],
            "top": [_flattened(each) for each in self.top],
            "quantiles": [{"annotation": name, **_flattened(each)} for name, each in self.quantiles],
            "coefficients": self.coefficients,
            "converged": maximum.converged,
            "log_p": maximum.pieces.log_p,
            "notes": self.notes,
        }


def heritability(
    source: PriorSource,
    annotations: AnyAnnotations | None = None,
    config: HeritabilityConfig = HeritabilityConfig(),
    *,
    annotations_name: str = "annotations",
    progress: Progress = silent,
) -> Heritability:
    """Heritability and enrichments under a prior that is calibrated to the likelihood.

    Args:
        source: the prior, see `varfx.prior.heritability.source`.
        annotations: whose enrichment is asked; None for the total alone.
        config: how it is done.
        annotations_name: their file, for messages.
        progress: told about each window.

    Raises:
        DataError: annotations of other variants, or no variant of that frequency.
        ConfigError: an unknown annotation.
    """
    columns = annotation_columns(annotations, source.variants, config.channels, source=annotations_name)
    directions, about = calibration_directions(source, columns)
    calibration = calibrate(source, directions, config, progress=progress)
    counted = counted_variants(source, config.min_maf)
    X = Stacked((level(columns.height), columns))

    def sums(some: Features) -> Sums:
        return sums_of(some, source.f, calibration.factor, directions, calibration.steps, counted)

    by_annotation, spread = sums(X), spread_of(X, counted)
    factor = None
    if config.population_prev is not None and config.sample_prev is not None:
        factor = liability_factor(config.population_prev, config.sample_prev)
    h2 = by_annotation.estimate(lambda v: v[..., 0], positive=True)
    entries = annotation_heritability(by_annotation, spread, columns.names, columns.binary)
    top = _top(source, counted, config, progress)
    return Heritability(
        h2=h2,
        h2_liability=None if factor is None else _scaled(h2, factor),
        sigma2=_sigma2(calibration),
        plug_in={"h2": float(by_annotation.plug_in[0]), "sigma2": source.sigma2},
        base=base_entry(by_annotation, spread),
        annotations=entries,
        top=top,
        quantiles=_quantiles(columns, counted, config.quantiles, sums),
        coefficients=coefficients(source, calibration),
        calibration=calibration,
        record=_record(source, calibration, counted, config),
        notes=[
            *source.notes,
            *columns.notes,
            *about,
            *_doubts(source, calibration),
            *_without_errors(calibration, [*entries, *top]),
        ],
    )


def counted_variants(source: PriorSource, min_maf: float) -> Bool[ndarray, " variant"]:
    """Variants whose heritability is summed.

    Raises:
        DataError: none is left.
    """
    if min_maf == 0:
        return source.counted
    eaf = source.variants["eaf"].cast(pl.Float64).to_numpy()
    kept = source.counted & (np.minimum(eaf, 1 - eaf) >= min_maf)
    if not kept.any():
        raise DataError(
            f"none of the {source.counted.sum():,} variants has a known frequency of at least `min-maf` {min_maf:g}."
        )
    return np.asarray(kept)


def coefficients(source: PriorSource, calibration: Calibration) -> list[dict[str, Any]]:
    """Coefficients of a constant or linear model after calibration, in units of its features; empty for others.

    The calibrated log f is projected on the model's own directions, so that they are its maximum-likelihood estimates to first order.
    """
    if source.own is None:
        return []
    design = Stacked((level(source.f.size), as_features(source.own.values)))
    R = triangle(Stacked((design, calibration.directions)))
    onto = np.linalg.pinv(R[:, : design.width], rcond=COLLINEAR) @ R[:, design.width :]
    fitted = np.r_[0.0, source.own.coefficients]
    value = fitted + onto @ calibration.maximum.theta[:-1]
    se: list[float | None] = [None] * len(value)
    if calibration.steps is not None:
        moved = value + calibration.steps.values[:, :-1] @ onto.T
        se = [float(each) for each in BlockJackknife(estimate=value, delete_values=moved).standard_error]
    names = ("log scale", *source.own.names)
    return [
        {"name": name, "fitted": float(a), "estimate": float(b), "se": c}
        for name, a, b, c in zip(names, fitted, value, se, strict=True)
    ]


def variant_scores(
    source: PriorSource, calibration: Calibration, config: HeritabilityConfig = HeritabilityConfig()
) -> pl.DataFrame:
    """d log p / d log f of each counted variant at the calibrated prior, summed over the windows that hold it.

    Returns:
        `chrom, position, variant_id, effect_allele, other_allele, f, score, block`: calibrated f, and the jackknife block of the variant's
        own window (null outside the calibrating windows).
    """
    total = np.zeros(source.f.size)

    def add(_: int, rows: ndarray, score: ndarray) -> None:
        total[rows] += score

    pieces_at(source, calibration.directions, calibration.maximum.theta, device=config.device, each=add)
    block = np.full(source.f.size, -1)
    bounds = np.arange(len(source.windows) + 1) if calibration.steps is None else calibration.steps.blocks.bounds
    for place, index in enumerate(source.windows):
        block[source.panel.rows(index)[0]] = np.searchsorted(bounds, place, side="right") - 1
    return source.variants.select(
        "chrom",
        "position",
        "variant_id",
        "effect_allele",
        "other_allele",
        f=pl.Series(source.f * calibration.factor),
        score=pl.Series(total),
        block=pl.Series(block).replace(-1, None),
    ).filter(pl.Series(source.counted))


def base_entry(sums: Sums, spread: Spread) -> AnnotationHeritability:
    """The entry of all variants; its tau is the intercept of f on the annotations."""
    known = sums.steps is not None
    one = Estimate(value=1.0, se=0.0 if known else None, ci95=(1.0, 1.0) if known else None)
    return AnnotationHeritability(
        name="base",
        binary=True,
        total=float(sums.totals[0]),
        prop_snps=1.0,
        h2=sums.estimate(lambda v: v[..., 0], positive=True),
        prop_h2=one,
        enrichment=one,
        enrichment_p=None,
        log10_p_mean=None,
        coefficient=None,
        tau=sums.estimate(lambda v: v @ spread.inverse[0]),
        tau_star=Estimate(value=0.0, se=None, ci95=None),
        plug_in_h2=float(sums.plug_in[0]),
        plug_in_enrichment=1.0,
    )


def _top(
    source: PriorSource, counted: ndarray, config: HeritabilityConfig, progress: Progress
) -> list[GroupHeritability]:
    """Enrichment of the variants of largest f, calibrated along these very groups: the annotations say nothing of them."""
    if not config.top:
        return []
    inside = np.zeros((source.f.size, len(config.top)), dtype=bool)
    inside[counted] = top_groups(source.f[counted], config.top)
    ones, groups = level(source.f.size), HeldFeatures(inside)
    directions = independent_of((ones, groups, own_directions(source)), source)
    calibration = calibrate(source, directions, config, progress=progress)
    columns = Stacked((ones, groups))
    sums = sums_of(columns, source.f, calibration.factor, directions, calibration.steps, counted)
    return group_heritability(sums, [f"top {share:.4g}" for share in config.top])


def _quantiles(
    columns: AnnotationColumns, counted: ndarray, count: int, sums: Callable[[Features], Sums]
) -> list[tuple[str, GroupHeritability]]:
    continuous = columns.take(np.flatnonzero(~columns.binary).tolist())
    if not continuous.width:
        return []
    cuts = [quantile_cuts(_column(continuous.take([number]), counted), count) for number in range(continuous.width)]
    together = sums(Stacked((level(columns.height), QuantileColumns(continuous, count, cuts))))
    found = []
    for place, name in enumerate(continuous.names):
        first = 1 + place * count
        filled = np.flatnonzero(together.totals[first : first + count])
        names = [f"quantile {number + 1} of {count}" for number in filled]
        entries = group_heritability(together.take([0, *(first + filled)]), names)
        found += [(name, each) for each in entries]
    return found


def _column(annotation: AnnotationColumns, counted: ndarray) -> ndarray:
    """The values of one annotation in counted variants."""
    return np.concatenate([annotation.rows(rows)[:, 0] for rows in row_blocks(counted)])


def _sigma2(calibration: Calibration) -> Estimate:
    value, steps = calibration.sigma2, calibration.steps
    if steps is None:
        return Estimate(value=value, se=None, ci95=None)
    moved = value * (1 + steps.values[:, [-1]])
    se = float(BlockJackknife(estimate=np.array([value]), delete_values=moved).standard_error[0])
    df = steps.degrees(np.eye(steps.values.shape[1])[-1])
    return Estimate(value=value, se=se, ci95=t_interval(value, se, df), df=df)


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    if estimate.se is None or estimate.ci95 is None:
        return replace(estimate, value=factor * estimate.value)
    low, high = estimate.ci95
    return replace(estimate, value=factor * estimate.value, se=factor * estimate.se, ci95=(factor * low, factor * high))


def _record(
    source: PriorSource, calibration: Calibration, counted: ndarray, config: HeritabilityConfig
) -> dict[str, Any]:
    eaf = source.variants["eaf"].cast(pl.Float64).to_numpy()[counted]
    maf = np.minimum(eaf, 1 - eaf)[np.isfinite(eaf)]
    return {
        **describe(source),
        "n_variants": int(counted.sum()),
        "n_blocks": None if calibration.steps is None else calibration.steps.blocks.count,
        "block_length": None if calibration.steps is None else calibration.steps.blocks.length,
        "se_inflation": None if calibration.steps is None else calibration.steps.blocks.inflation,
        "n_parameters": calibration.directions.width + 1,
        "se_method": config.se,
        "min_maf": config.min_maf,
        "maf_range": [float(maf.min()), float(maf.max())] if maf.size else None,
        "sum_heterozygosity": float((2 * eaf * (1 - eaf))[np.isfinite(eaf)].sum()),
    }


def _doubts(source: PriorSource, calibration: Calibration) -> list[str]:
    notes = []
    n = len(source.windows)
    if n < FEW_WINDOWS:
        notes.append(f"only {n} windows are calibrated on, {FEW_WINDOWS} are needed for standard errors: these are NA")
    elif calibration.steps is None:
        notes.append("all windows lie in one block of dependent neighbours: standard errors are NA")
    else:
        notes += calibration.steps.notes()
    if not calibration.maximum.converged:
        notes.append("the calibration did not converge: see OUT.convergence.csv")
    if calibration.sigma2 > HIGH_SIGMA2:
        notes.append(
            f"sigma2 is {calibration.sigma2:.2f}: LD of other individuals than the GWAS's, or inflation; h2 is biased down then"
        )
    return notes


def _without_errors(
    calibration: Calibration, entries: Sequence[AnnotationHeritability | GroupHeritability]
) -> list[str]:
    """A note on entries whose information lies in one block of windows."""
    names = [each.name for each in entries if each.h2.se is None or (each.enrichment and each.enrichment.se is None)]
    if calibration.steps is None or not names:
        return []
    return [
        f"nearly all information on {len(names)} annotations or groups, first `{names[0]}`, lies in one block of neighbouring windows: "
        "their standard errors are NA"
    ]


def flat(name: str, estimate: Estimate | None) -> dict[str, Any]:
    """An estimate as `name, name_se, name_ci95, name_df`."""
    if estimate is None:
        return {name: None, f"{name}_se": None, f"{name}_ci95": None, f"{name}_df": None}
    ci = None if estimate.ci95 is None else list(estimate.ci95)
    return {name: estimate.value, f"{name}_se": estimate.se, f"{name}_ci95": ci, f"{name}_df": estimate.df}


def _flattened(entry: AnnotationHeritability | GroupHeritability) -> dict[str, Any]:
    """An entry with its estimates flattened."""
    found: dict[str, Any] = {}
    for name, value in asdict(entry).items():
        attribute = getattr(entry, name)
        if isinstance(attribute, Estimate) or name in ("enrichment", "coefficient"):
            found |= flat(name, attribute)
        else:
            found[name] = value
    return found
