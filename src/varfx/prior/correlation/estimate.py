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
import torch
from jaxtyping import Float
from numpy import ndarray

from varfx.annotations.file import AnyAnnotations
from varfx.device import find_device
from varfx.errors import DataError
from varfx.likelihood.bivariate import PairVariances, pair_information
from varfx.likelihood.ldsr_closed import BlockJackknife
from varfx.likelihood.maximise import Maximum, Pieces, maximise
from varfx.prior.correlation.config import CorrelationConfig
from varfx.prior.correlation.pairs import PairedTraits
from varfx.prior.heritability.calibrate import LOG_ENRICHMENT_SD, log_factor_exp
from varfx.prior.heritability.columns import annotation_columns, independent
from varfx.prior.heritability.errors import LEAST_DEGREES, Steps, error_steps
from varfx.prior.heritability.source import FEW_WINDOWS
from varfx.progress import Progress, silent

ETA_SD = 3.0  # of the weak prior on atanh rho, which keeps a correlation of 1 finite
MAX_ETA = 6.0
NOISE = 3  # parameters s12, log s11, log s22, the last ones


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
    stacked = np.column_stack([np.ones(len(traits.first.f)), columns.directions().rows(slice(None))])
    D = np.ascontiguousarray(stacked[:, independent(stacked[traits.first.seen])])
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
    X = np.column_stack([np.ones(counted.sum()), columns.values[counted][:, columns.binary]])
    moved = None if steps is None else steps.values
    sums = _sums(traits, D, maximum.theta, steps, X, counted)
    found = [
        _correlation(name, each)
        for name, each in zip(("all", *np.array(columns.names)[columns.binary]), sums, strict=True)
    ]
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
    traits: PairedTraits, D: ndarray, config: CorrelationConfig, progress: Progress
) -> tuple[Maximum, Float[ndarray, " parameter"]]:
    """The largest penalised likelihood, from the two priors as they are, and the precision of the penalty."""
    K = D.shape[1]
    precision = np.r_[[0.0], np.full(K - 1, LOG_ENRICHMENT_SD**-2)]
    start = np.r_[np.zeros(3 * K), 0.0, math.log(traits.first.sigma2), math.log(traits.second.sigma2)]
    penalty = np.r_[precision, precision, np.full(K, ETA_SD**-2), np.zeros(NOISE)]
    maximum = maximise(
        lambda theta: pair_pieces(traits, D, theta, config.device, progress), start, prior_precision=penalty
    )
    return maximum, penalty


def _of_itself(traits: PairedTraits, D: ndarray, sign: float, config: CorrelationConfig) -> GeneticCorrelation:
    """The correlation of one GWAS with itself, or with its negative: noise that is shared in full leaves nothing to estimate."""
    sources = (traits.first, traits.second)
    counted = traits.first.counted & traits.second.counted
    h2 = [float(each.f[counted].sum()) for each in sources]
    noise = [each.sigma2 for each in sources]
    theta = np.r_[np.zeros(3 * D.shape[1]), 0.0, np.log(noise)]
    pieces = pair_pieces(traits, D, theta, config.device, silent)
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


def pair_pieces(
    traits: PairedTraits, D: Float[ndarray, "variant direction"], theta: ndarray, device: str, progress: Progress
) -> Pieces | None:
    """Likelihood of both traits at theta, per window; None where a covariance is not positive definite."""
    where = find_device(device)
    F1, F2, rho, (s12, s11, s22) = _at(traits, D, theta)
    found = []
    for done, (rows, pair) in enumerate(traits):
        here = [torch.from_numpy(np.ascontiguousarray(array[rows])).to(where) for array in (F1, F2, rho, D)]
        model = PairVariances(F1=here[0], F2=here[1], rho=here[2], directions=here[3], s11=s11, s22=s22, s12=s12)
        information = pair_information(pair.to(where), model)
        if information is None:
            return None
        found.append(information)
        progress(done + 1, len(traits.windows), "windows")
    return Pieces.of(found)


def _at(
    traits: PairedTraits, D: ndarray, theta: ndarray
) -> tuple[ndarray, ndarray, ndarray, tuple[float, float, float]]:
    """F of both traits, rho, and (s12, s11, s22)."""
    delta1, delta2, eta = np.split(theta[:-NOISE], 3)
    F1, F2 = (
        source.n_ref * source.f * log_factor_exp(D, delta)
        for source, delta in ((traits.first, delta1), (traits.second, delta2))
    )
    rho = np.tanh(np.clip(D @ eta, -MAX_ETA, MAX_ETA))
    return F1, F2, rho, (float(theta[-3]), float(np.exp(theta[-2])), float(np.exp(theta[-1])))


@dataclass(frozen=True, eq=False)
class PairSums:
    """Sums of f1, f2 and rho sqrt(f1 f2) over a column, and the changes of them by deleted blocks.

    Attributes:
        jackknife: of the three sums.
        slopes: their derivatives by theta.
        steps: of the deleted blocks; None without standard errors.
    """

    jackknife: BlockJackknife
    slopes: Float[ndarray, "parameter 3"]
    steps: Steps | None


def _sums(
    traits: PairedTraits, D: ndarray, theta: ndarray, steps: Steps | None, X: ndarray, counted: ndarray
) -> list[PairSums]:
    """Per column of X the sums of f1, f2 and rho sqrt(f1 f2)."""
    F1, F2, rho, _ = _at(traits, D, theta)
    f1, f2 = F1[counted] / traits.first.n_ref, F2[counted] / traits.second.n_ref
    rho, D = rho[counted], D[counted]
    root = np.sqrt(f1 * f2)
    K = D.shape[1]
    found = []
    for column in X.T:
        value = np.array([column @ f1, column @ f2, column @ (rho * root)])
        slopes = np.zeros((theta.size, 3))
        slopes[:K, 0], slopes[K : 2 * K, 1] = D.T @ (column * f1), D.T @ (column * f2)
        slopes[:K, 2] = slopes[K : 2 * K, 2] = 0.5 * (D.T @ (column * rho * root))
        slopes[2 * K : 3 * K, 2] = D.T @ (column * (1 - rho**2) * root)
        moved = value[None] if steps is None else value + steps.values @ slopes
        found.append(PairSums(BlockJackknife(estimate=value, delete_values=moved), slopes, steps))
    return found


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
