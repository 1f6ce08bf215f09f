"""`genetic_correlation`: of two traits, by the likelihood of both on one LD panel, genome-wide and per annotation.

    rg = sum rho_m sqrt(f1_m f2_m) / sqrt(sum f1_m sum f2_m)

The level of both priors, their correlation `rho = tanh(eta)` and the noise of both, with its covariance s12 (shared individuals), are
estimated together. With annotations, levels and eta follow these too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float
from numpy import ndarray

from varfx.annotations.features import Features
from varfx.annotations.file import AnyAnnotations
from varfx.errors import DataError
from varfx.likelihood.ldsr_closed import BlockJackknife
from varfx.likelihood.maximise import Maximum, Pieces, maximise
from varfx.prior.correlation.config import CorrelationConfig
from varfx.prior.correlation.model import NOISE, PairModel, PairSums, pair_pieces, pair_sums
from varfx.prior.correlation.pairs import PairedTraits
from varfx.prior.heritability.calibrate import LOG_ENRICHMENT_SD
from varfx.prior.heritability.columns import annotation_columns
from varfx.prior.heritability.directions import independent_of
from varfx.prior.heritability.errors import LEAST_DEGREES, error_steps
from varfx.prior.heritability.source import FEW_WINDOWS
from varfx.prior.heritability.stacked import Stacked, level
from varfx.progress import Progress, silent

ETA_SD = 3.0  # of the weak prior on atanh rho, which keeps a correlation of 1 finite


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A genetic correlation.

    Attributes:
        name: of the variants: `all`, or an annotation.
        rg: the correlation.
        se: its standard error; None with too few windows, like what follows.
        ci95: from atanh rg, by the t distribution.
        z: rg / se.
        p: two-sided, that it is 0, by Student's t.
        p_one: that it is 1 (or -1).
        gcov: genetic covariance of standardised traits, of these variants.
        gcov_se: its standard error.
        df: degrees of freedom of the errors; None without errors.
    """

    name: str
    rg: float
    se: float | None
    ci95: tuple[float, float] | None
    z: float | None
    p: float | None
    p_one: float | None
    gcov: float
    gcov_se: float | None
    df: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneticCorrelation:
    """The genetic correlation of two traits.

    Attributes:
        whole: of all variants.
        annotations: per annotation.
        h2: of both traits, with standard errors.
        intercepts: residual variances of both traits, with standard errors.
        gcov_intercept: residual covariance, with its standard error.
        maximum: the parameters with scores and information per window.
        record: what was used.
        notes: remarks for the reader.
    """

    whole: Correlation
    annotations: list[Correlation]
    h2: list[tuple[float, float | None]]
    intercepts: list[tuple[float, float | None]]
    gcov_intercept: tuple[float, float | None]
    maximum: Maximum
    record: dict[str, Any]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """All numbers, JSON-able."""
        whole = self.whole
        return {
            **self.record,
            "rg": whole.rg,
            "rg_se": whole.se,
            "rg_ci95": None if whole.ci95 is None else list(whole.ci95),
            "z": whole.z,
            "p": whole.p,
            "p_one": whole.p_one,
            "df": whole.df,
            "gcov": whole.gcov,
            "gcov_se": whole.gcov_se,
            "gcov_int": self.gcov_intercept[0],
            "gcov_int_se": self.gcov_intercept[1],
            **{
                f"{name}_{number + 1}{ending}": value
                for name, pairs in (("h2", self.h2), ("sigma2", self.intercepts))
                for number, pair in enumerate(pairs)
                for ending, value in zip(("", "_se"), pair, strict=True)
            },
            "annotations": [
                {
                    "name": each.name, "rg": each.rg, "rg_se": each.se,
                    "rg_ci95": None if each.ci95 is None else list(each.ci95), "z": each.z, "p": each.p, "df": each.df,
                    "gcov": each.gcov, "gcov_se": each.gcov_se,
                }
                for each in self.annotations
            ],
            "converged": self.maximum.converged,
            "log_p": self.maximum.pieces.log_p,
            "notes": self.notes,
        }  # fmt: skip


def genetic_correlation(
    traits: PairedTraits,
    annotations: AnyAnnotations | None = None,
    config: CorrelationConfig = CorrelationConfig(),
    *,
    annotations_name: str = "annotations",
    progress: Progress = silent,
) -> GeneticCorrelation:
    """The genetic correlation of two traits.

    Args:
        traits: two priors on one panel.
        annotations: whose correlation is asked besides.
        config: how it is done.
        annotations_name: their file, for messages.
        progress: told about each window.

    Raises:
        DataError: annotations of other variants, a prior without variance.
    """
    columns = annotation_columns(annotations, traits.first.variants, config.channels, source=annotations_name)
    D = independent_of((level(traits.first.f.size), columns.directions()), traits.first)
    for source in (traits.first, traits.second):
        if not source.f[source.counted].sum() > 0:
            raise DataError(f"`{source.name}` gives no variant any variance: a correlation does not exist.")
    sign = traits.same_associations()
    if sign is not None:
        return _of_itself(traits, D, sign, config)
    maximum, penalty = _maximum(traits, D, config, progress)
    n = len(traits.windows)
    steps = error_steps(maximum.pieces, traits.panel, traits.windows, config, penalty)
    counted = traits.first.counted & traits.second.counted
    asked = columns.take(np.flatnonzero(columns.binary).tolist())
    moved = None if steps is None else steps.values
    X = Stacked((level(counted.size), asked))
    sums = pair_sums(PairModel(traits, D, maximum.theta), X, steps, counted)
    found = [_correlation(name, each) for name, each in zip(("all", *asked.names), sums, strict=True)]
    notes = [*traits.first.notes, *traits.second.notes, *traits.notes, *columns.notes]
    if steps is not None:
        notes += steps.notes()
    doubts = {
        f"only {n} windows, {FEW_WINDOWS} are needed for standard errors: these are NA": steps is None,
        "the estimate did not converge": not maximum.converged,
        "continuous annotations shape the correlation, but have none of their own": not columns.binary.all(),
    }
    notes += [words for words, holds in doubts.items() if holds]
    return GeneticCorrelation(
        whole=found[0],
        annotations=found[1:],
        h2=[_pair(sums[0].jackknife.transform(lambda v, i=i: v[..., [i]])) for i in range(2)],  # type: ignore[misc]
        intercepts=[_noise(maximum, moved, place, log=True) for place in (-2, -1)],
        gcov_intercept=_noise(maximum, moved, -3, log=False),
        maximum=maximum,
        record={
            "p1": traits.first.trait,
            "p2": traits.second.trait,
            "n_windows": n,
            "n_blocks": None if steps is None else steps.blocks.count,
            "block_length": None if steps is None else steps.blocks.length,
            "n_variants": int(counted.sum()),
            "n_shared_associations": traits.n_variants,
            "se_method": config.se,
        },
        notes=notes,
    )


def _maximum(
    traits: PairedTraits, D: Features, config: CorrelationConfig, progress: Progress
) -> tuple[Maximum, Float[ndarray, " parameter"]]:
    """The largest penalised likelihood, from the two priors as they are, and the precision of the penalty."""
    K = D.width
    precision = np.r_[[0.0], np.full(K - 1, LOG_ENRICHMENT_SD**-2)]
    start = np.r_[np.zeros(3 * K), 0.0, math.log(traits.first.sigma2), math.log(traits.second.sigma2)]
    penalty = np.r_[precision, precision, np.full(K, ETA_SD**-2), np.zeros(NOISE)]

    def evaluate(theta: ndarray) -> Pieces | None:
        return pair_pieces(PairModel(traits, D, theta), config.device, progress)

    return maximise(evaluate, start, prior_precision=penalty), penalty


def _of_itself(traits: PairedTraits, D: Features, sign: float, config: CorrelationConfig) -> GeneticCorrelation:
    """The correlation of one GWAS with itself, or with its negative: noise that is shared in full leaves nothing to estimate."""
    sources = (traits.first, traits.second)
    counted = traits.first.counted & traits.second.counted
    h2 = [float(each.f[counted].sum()) for each in sources]
    noise = [each.sigma2 for each in sources]
    theta = np.r_[np.zeros(3 * D.width), 0.0, np.log(noise)]
    pieces = pair_pieces(PairModel(traits, D, theta), config.device, silent)
    assert pieces is not None
    whole = Correlation(
        name="all", rg=sign, se=0.0, ci95=(sign, sign), z=None, p=0.0, p_one=1.0, gcov=sign * math.sqrt(h2[0] * h2[1]), gcov_se=None
    )  # fmt: skip
    return GeneticCorrelation(
        whole=whole,
        annotations=[],
        h2=[(value, None) for value in h2],
        intercepts=[(value, None) for value in noise],
        gcov_intercept=(sign * math.sqrt(noise[0] * noise[1]), None),
        maximum=Maximum(theta, pieces, (), True),
        record={
            "p1": traits.first.trait,
            "p2": traits.second.trait,
            "n_windows": len(traits.windows),
            "n_blocks": None,
            "n_variants": int(counted.sum()),
            "n_shared_associations": traits.n_variants,
            "se_method": None,
        },
        notes=[
            *traits.notes,
            f"both have the same associations: rg is {sign:.0f} by definition, not an estimate; h2 and sigma2 are those of the runs",
        ],
    )


def _correlation(name: str, sums: PairSums) -> Correlation:
    def ratio(v: ndarray) -> ndarray:
        return np.asarray(v[..., [2]] / np.sqrt(np.maximum(v[..., [0]] * v[..., [1]], 1e-300)))

    rg, se = _pair(sums.jackknife.transform(ratio))
    gcov, gcov_se = _pair(sums.jackknife.transform(lambda v: v[..., [2]]))
    if not se or sums.steps is None:
        return Correlation(name=name, rg=rg, se=None, ci95=None, z=None, p=None, p_one=None, gcov=gcov, gcov_se=gcov_se)
    h2 = np.maximum(sums.jackknife.estimate[:2], 1e-300)
    df = sums.steps.degrees(sums.slopes @ np.r_[-0.5 * rg / h2, 1 / np.sqrt(h2.prod())])
    if df < LEAST_DEGREES:
        return Correlation(name=name, rg=rg, se=None, ci95=None, z=None, p=None, p_one=None, gcov=gcov, gcov_se=None)
    centre, spread = math.atanh(np.clip(rg, -0.9999, 0.9999)), se / max(1 - rg**2, 2e-4)
    reach = spread * float(scipy.stats.t.isf(0.025, df))
    return Correlation(
        name=name,
        rg=rg,
        se=se,
        ci95=(math.tanh(centre - reach), math.tanh(centre + reach)),
        z=rg / se,
        p=float(2 * scipy.stats.t.sf(abs(rg / se), df)),
        p_one=float(2 * scipy.stats.t.sf((1 - abs(rg)) / se, df)),
        gcov=gcov,
        gcov_se=gcov_se,
        df=df,
    )


def _pair(jackknife: BlockJackknife) -> tuple[float, float | None]:
    """An estimate and its standard error."""
    se = float(jackknife.standard_error[0]) if len(jackknife.delete_values) > 1 else None
    return float(jackknife.estimate[0]), se


def _noise(maximum: Maximum, steps: ndarray | None, place: int, *, log: bool) -> tuple[float, float | None]:
    value = float(np.exp(maximum.theta[place])) if log else float(maximum.theta[place])
    if steps is None:
        return value, None
    moved = value + (value if log else 1.0) * steps[:, [place]]
    return _pair(BlockJackknife(estimate=np.array([value]), delete_values=moved))
