"""Score tests of annotations that a prior does not hold, without refitting it.

A new annotation a would move `F = N f exp(x a)`; at x = 0 its score per block of neighbouring windows, freed of what the prior's own parameters
explain, is

    U_b = G_b,a - I_a,theta I_theta^-1 G_b,theta          Z = sum_b U_b / sqrt(sum_b U_b^2)

with average information I. Scores are skewed to the right like a chi-square, and a block's square grows with its score: Z comes out above 1 too
seldom and below -1 too often, with a mean square of `1 + 2 lambda^2` for a standardised third moment lambda. So with

    T = sum_b U_b / sqrt(n / (n - 1) sum_b (U_b - mean U)^2)            g(T) = T + lambda T^2 / 3 + lambda^2 T^3 / 27 + lambda / 6

(Hall 1992, J. R. Statist. Soc. B 54:221) p is by Student's t of g(T) with `n - 1` degrees of freedom, and z is the normal quantile of p. lambda is
the model's, `sum tr (C^-1 dC)^3 / (I_aa - I_a,theta I_theta^-1 I_theta,a)^1.5`, which varies little, unlike that of few blocks; above 0.3 the
expansion ends, and so does lambda. Blocks without information on `a` lower T, so that more degrees of freedom do no harm. The model-based Z
divides by `sqrt(I_aa - I_a,theta I_theta^-1 I_theta,a)` instead; it is wrong where windows depend on their neighbours, or effects are sparse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float
from numpy import ndarray

from varfx.annotations.features import Features
from varfx.annotations.file import AnyAnnotations
from varfx.errors import DataError
from varfx.likelihood.blocks import FEW_BLOCKS, Blocks
from varfx.likelihood.maximise import Pieces, in_blocks, scaled_inverse
from varfx.prior.heritability.calibrate import calibrate, pieces_at, third_moments
from varfx.prior.heritability.columns import annotation_columns
from varfx.prior.heritability.config import HeritabilityConfig
from varfx.prior.heritability.directions import independent_of
from varfx.prior.heritability.errors import window_blocks
from varfx.prior.heritability.random_columns import RandomColumns
from varfx.prior.heritability.source import FEW_WINDOWS, PriorSource
from varfx.prior.heritability.stacked import Scaled, Stacked, as_features, level
from varfx.progress import Progress, silent

MAX_SKEWNESS = 0.3  # of a standardised third moment that the expansion is believed for
SMALLEST_P = 1e-300
HELD = 1e-7  # share of an annotation's information below which the prior's own parameters hold it


@dataclass(frozen=True, kw_only=True)
class ScoreTest:
    """The test of one annotation.

    Attributes:
        name: of the annotation.
        z: above 0 where variants of the annotation have larger effects than the prior says; normal without effect.
        p: two-sided, that of z.
        z_model: with the standard error from the information.
        held: the prior holds the annotation already; z is 0 then.
        df: degrees of freedom of Student's t behind p; None if z is model-based.
    """

    name: str
    z: float
    p: float
    z_model: float
    held: bool
    df: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreTests:
    """Tests of several annotations, and of random ones.

    Attributes:
        tests: one per annotation, in their order.
        random_z: Z of random annotations, which tell how well calibrated the test is here.
        notes: remarks for the reader.
    """

    tests: list[ScoreTest]
    random_z: Float[ndarray, " random"]
    notes: list[str]

    @property
    def random_rms(self) -> float | None:
        """Root mean square of Z of the random annotations; 1 for a calibrated test."""
        return float(np.sqrt(np.mean(self.random_z**2))) if self.random_z.size else None


def score_test(
    source: PriorSource,
    annotations: AnyAnnotations,
    config: HeritabilityConfig = HeritabilityConfig(),
    *,
    random_annotations: int = 0,
    random_fraction: float = 0.01,
    seed: int = 0,
    annotations_name: str = "annotations",
    progress: Progress = silent,
) -> ScoreTests:
    """Tests whether annotations would improve a prior.

    The prior's level, sigma2 and, of a constant or linear model, its own coefficients are first brought to their maximum.

    Args:
        source: the prior.
        annotations: new ones.
        config: channels, device.
        random_annotations: number of random 0/1 annotations tested beside them.
        random_fraction: share of variants in each.
        seed: of the random annotations.
        annotations_name: their file, for messages.
        progress: told about each window.

    Raises:
        DataError: annotations of other variants; a random annotation would be empty.
    """
    columns = annotation_columns(annotations, source.variants, config.channels, source=annotations_name)
    size = source.f.size
    if random_annotations and round(random_fraction * size) < 1:
        raise DataError(f"`random-fraction` {random_fraction:g} of {size:,} variants is none: give a larger share.")
    random = RandomColumns(size, random_annotations, random_fraction, seed)
    slope = np.ones(size) if source.own is None else source.own.slope
    new = Scaled(Stacked((columns.directions(), random)), slope)
    base = _base_directions(source)
    calibration = calibrate(source, base, config, free=base.width, progress=progress)
    theta = calibration.maximum.theta
    D, at = Stacked((base, new)), np.r_[theta[:-1], np.zeros(new.width), theta[-1]]
    pieces = pieces_at(source, D, at, device=config.device, progress=progress)
    assert pieces is not None  # the likelihood exists at this theta

    def third(weights: ndarray) -> ndarray:
        return third_moments(source, D, at, weights, device=config.device, progress=progress)

    found = efficient_scores(pieces, base.width, _blocks(source, calibration.maximum.pieces, config), third)
    count = len(columns.names)
    return ScoreTests(
        tests=[_test(name, found, place) for place, name in enumerate(columns.names)],
        random_z=found.z[count:],
        notes=[*source.notes, *columns.notes, *_notes(source, columns.names, found)],
    )


@dataclass(frozen=True, eq=False)
class EfficientScores:
    """Scores of new directions, freed of what the base's parameters explain.

    Attributes:
        z: normal under the null hypothesis.
        t: with the variance around the mean over blocks, its skewness removed; None without blocks.
        z_model: with the standard error from the information.
        held: whether the base spans the direction; its z is 0 then.
        num_blocks: number of blocks; None without.
    """

    z: Float[ndarray, " new"]
    t: Float[ndarray, " new"] | None
    z_model: Float[ndarray, " new"]
    held: Bool[ndarray, " new"]
    num_blocks: int | None


def efficient_scores(
    pieces: Pieces, num_base: int, blocks: Blocks | None, third_moments: Callable[[ndarray], ndarray]
) -> EfficientScores:
    """Tests of new directions beside a base.

    Args:
        pieces: at the base's maximum, parameters (base, new, log sigma2).
        num_base: number of base directions.
        blocks: of pieces; None for too few pieces: z is then the model-based one.
        third_moments: third central moment of the summed score of combinations of parameters (a column each); asked with blocks only.
    """
    information = pieces.information.sum(0)
    size = information.shape[0]
    base = np.r_[np.arange(num_base), size - 1]
    new = np.arange(num_base, size - 1)
    onto = information[np.ix_(new, base)] @ scaled_inverse(information[np.ix_(base, base)])
    raw = np.diag(information)[new]
    left = raw - np.einsum("nb,nb->n", onto, information[np.ix_(new, base)])
    held = left <= HELD * raw
    left = np.where(held, 1.0, left)
    scores = pieces.score[:, new] - pieces.score[:, base] @ onto.T
    U = scores.sum(0)
    z_model = np.where(held, 0.0, U / np.sqrt(left))
    if blocks is None:
        return EfficientScores(z_model, None, z_model, held, None)
    scores = in_blocks(scores, blocks.bounds)
    n = len(scores)
    spread = np.where(held, 1.0, n / (n - 1) * ((scores - U / n) ** 2).sum(0))
    combination = np.zeros((size, new.size))  # of the parameters, per new direction
    combination[base] = -onto.T
    combination[new, np.arange(new.size)] = 1.0
    skewness = third_moments(combination) / left**1.5
    t = np.where(held, 0.0, without_skewness(U / np.sqrt(spread) / blocks.inflation, skewness))
    return EfficientScores(normal_quantile(t, n - 1), t, z_model, held, n)


def without_skewness(t: Float[ndarray, " test"], skewness: Float[ndarray, " test"]) -> Float[ndarray, " test"]:
    """Hall's monotone transform of a studentised sum whose summands have this standardised third moment, kept within +-0.3."""
    a = np.clip(skewness, -MAX_SKEWNESS, MAX_SKEWNESS)
    return np.asarray(t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6)


def normal_quantile(t: Float[ndarray, " test"], df: float) -> Float[ndarray, " test"]:
    """The normal deviate of the same two-sided p as Student's t."""
    p = np.maximum(scipy.stats.t.sf(np.abs(t), df), SMALLEST_P)
    return np.asarray(np.copysign(scipy.stats.norm.isf(p), t))


def _test(name: str, found: EfficientScores, place: int) -> ScoreTest:
    z = float(found.z[place])
    return ScoreTest(
        name=name,
        z=z,
        p=float(2 * scipy.stats.norm.sf(abs(z))),
        z_model=float(found.z_model[place]),
        held=bool(found.held[place]),
        df=None if found.num_blocks is None else float(found.num_blocks - 1),
    )


def _blocks(source: PriorSource, pieces: Pieces, config: HeritabilityConfig) -> Blocks | None:
    """Blocks of windows that are nearly independent; None with too few windows, or all in one block."""
    if len(source.windows) < FEW_WINDOWS:
        return None
    blocks = window_blocks(pieces.score, source.panel, source.windows, config.blocks)
    return blocks if blocks.count > 1 else None


def _base_directions(source: PriorSource) -> Features:
    """1 and the model's own directions, as far as they differ on the calibrating windows."""
    own = () if source.own is None else (as_features(source.own.values),)
    return independent_of((level(source.f.size), *own), source)


def _notes(source: PriorSource, names: Sequence[str], found: EfficientScores) -> list[str]:
    notes = []
    held = [name for name, within in zip(names, found.held, strict=False) if within]
    if held:
        notes.append(f"the prior holds {len(held)} of the annotations already, first `{held[0]}`: z = 0")
    if len(source.windows) < FEW_WINDOWS:
        notes.append(
            f"only {len(source.windows)} windows: z is model-based, {FEW_WINDOWS} are needed for the robust one"
        )
    elif found.num_blocks is None:
        notes.append("all windows lie in one block of dependent neighbours: z is model-based")
    elif found.num_blocks < FEW_BLOCKS:
        notes.append(
            f"z comes from {found.num_blocks} blocks of neighbouring windows: p is by Student's t, and rough below {FEW_BLOCKS} blocks"
        )
    return notes
