"""Score tests of annotations that a prior does not hold, without refitting it.

A new annotation a would move `F = N f exp(x a)`; at x = 0 its score per window, freed of what the prior's own parameters explain, is

    U_i = G_i,a - I_a,theta I_theta^-1 G_i,theta          Z = sum_i U_i / sqrt(n / (n - 1) sum_i U_i^2)

with average information I, and products of neighbouring windows' U where flanks make them depend on each other. The model-based Z divides by `sqrt(I_aa - I_a,theta I_theta^-1 I_theta,a)` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Float
from numpy import ndarray

from varfx.annotations import Annotations
from varfx.errors import DataError
from varfx.likelihood.maximise import Pieces, moving_blocks, scaled_inverse
from varfx.prior.heritability.calibrate import calibrate, pieces_at, run_length
from varfx.prior.heritability.columns import annotation_columns, independent
from varfx.prior.heritability.config import HeritabilityConfig
from varfx.prior.heritability.source import FEW_WINDOWS, PriorSource
from varfx.progress import Progress, silent

HELD = 1e-7  # share of an annotation's information below which the prior's own parameters hold it


@dataclass(frozen=True, kw_only=True)
class ScoreTest:
    """The test of one annotation.

    Attributes:
        name: of the annotation.
        z: above 0 where variants of the annotation have larger effects than the prior says.
        p: two-sided, normal.
        z_model: with the standard error from the information.
        held: the prior holds the annotation already; z is 0 then.
    """

    name: str
    z: float
    p: float
    z_model: float
    held: bool


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
    annotations: Annotations,
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
    rng = np.random.default_rng(seed)
    size = source.f.size
    if random_annotations and round(random_fraction * size) < 1:
        raise DataError(f"`random-fraction` {random_fraction:g} of {size:,} variants is none: give a larger share.")
    random = (rng.random((size, random_annotations)) < random_fraction).astype(np.float64)
    slope = np.ones(size) if source.own is None else source.own.slope
    new = slope[:, None] * np.hstack([columns.directions(), random])
    base = _base_directions(source)
    calibration = calibrate(source, base, config, free=base.shape[1], progress=progress)
    theta = calibration.maximum.theta
    pieces = pieces_at(
        source,
        np.hstack([base, new]),
        np.r_[theta[:-1], np.zeros(new.shape[1]), theta[-1]],
        device=config.device,
        progress=progress,
    )
    assert pieces is not None  # the likelihood exists at this theta
    few = len(source.windows) < FEW_WINDOWS
    z, z_model, held = efficient_scores(pieces, base.shape[1], length=run_length(source.panel), few=few)
    names = [*columns.names, *("random" for _ in range(random_annotations))]
    tests = [
        ScoreTest(name=name, z=float(a), p=float(2 * scipy.stats.norm.sf(abs(a))), z_model=float(b), held=bool(c))
        for name, a, b, c in zip(names, z, z_model, held, strict=True)
    ]
    count = len(columns.names)
    return ScoreTests(
        tests=tests[:count], random_z=z[count:], notes=[*source.notes, *columns.notes, *_notes(source, tests[:count])]
    )


def efficient_scores(
    pieces: Pieces, num_base: int, *, length: int = 1, few: bool = False
) -> tuple[Float[ndarray, " new"], Float[ndarray, " new"], ndarray]:
    """Z, the model-based Z, and whether the base holds each new direction.

    Args:
        pieces: at the base's maximum, parameters (base, new, log sigma2).
        num_base: number of base directions.
        length: number of consecutive windows that depend on each other.
        few: whether windows are too few for Z, which is then the model-based one.
    """
    information = pieces.information.sum(0)
    size = information.shape[0]
    base = np.r_[np.arange(num_base), size - 1]
    new = np.arange(num_base, size - 1)
    onto = information[np.ix_(new, base)] @ scaled_inverse(information[np.ix_(base, base)])
    scores = pieces.score[:, new] - pieces.score[:, base] @ onto.T
    raw = np.diag(information)[new]
    left = raw - np.einsum("nb,nb->n", onto, information[np.ix_(new, base)])
    held = left <= HELD * raw
    U, n = scores.sum(0), len(scores)
    spread = np.sqrt(n / max(n - 1, 1) * (moving_blocks(scores, length) ** 2).sum(0))
    z_model = np.where(held, 0.0, U / np.sqrt(np.where(held, 1.0, left)))
    z = z_model if few else np.where(held, 0.0, U / np.where(held, 1.0, spread))
    return z, z_model, held


def _base_directions(source: PriorSource) -> Float[ndarray, "variant direction"]:
    """1 and the model's own directions, as far as they differ on the calibrating windows."""
    parts = [np.ones((source.f.size, 1))]
    if source.own is not None:
        parts.append(source.own.values)
    stacked = np.hstack(parts)
    return np.ascontiguousarray(stacked[:, independent(stacked[source.seen])])


def _notes(source: PriorSource, tests: Sequence[ScoreTest]) -> list[str]:
    notes = []
    held = [test.name for test in tests if test.held]
    if held:
        notes.append(f"the prior holds {len(held)} of the annotations already, first `{held[0]}`: z = 0")
    if len(source.windows) < FEW_WINDOWS:
        notes.append(
            f"only {len(source.windows)} windows: z is model-based, {FEW_WINDOWS} are needed for the robust one"
        )
    return notes
