"""`weights`: posterior-mean effects for polygenic scores, `E[beta] = f sqrt(N) B' C^-1 w`, with both sides of every core edge.

The associations of one core alone would tell little about a variant at its edge. So two neighbouring cores a and b are
taken together: their whitened associations, stacked, have the noise covariance

    S = [[I, X], [X', I]],   X = P_a R[a,b] P_b'   (from the panel: R[a,+] = V_a lam_a^1/2 B_a)

which is whitened once more; the posterior of the pair is used for the variants between the middle of a and the middle of
b. Every variant then has at least half a core of associations on either side, where the chromosome has them.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from typing import Literal, Unpack

import numpy as np
import polars as pl
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import cho_factor, cho_solve

from varfx._version import __version__
from varfx.errors import ConfigError
from varfx.genome.variants import identifier
from varfx.io import sealed
from varfx.ld import LDPanel, PanelWindow
from varfx.ld.whiten import rewhiten
from varfx.prior.files import InputPaths, PriorInputs, inputs_of_run
from varfx.prior.inputs import align_trait, panel_variants
from varfx.prior.predict import variances
from varfx.prior.run import Run, folder_of, open_run
from varfx.progress import Progress, silent
from varfx.training import TraitData

PathLike = str | os.PathLike[str]
Format = Literal["plink", "pgs-catalog"]
MIN_NOISE = 1e-3  # directions of the stacked associations with less noise than this share are said twice, and left out


@dataclass(frozen=True, eq=False)
class _Side:
    """One core's whitened associations and what they say about the panel's variants.

    Attributes:
        rows: panel rows of the columns of `signal`.
        signal: whitened correlations with those variants (T B).
        w: whitened associations.
        observed_rows: panel rows of the associations.
        P: (rank, observed): `w = P z`.
        half: `P U`, so that `P R[observed, rows] = half @ B`.
        B: as stored.
    """

    rows: ndarray
    signal: ndarray
    w: ndarray
    observed_rows: ndarray
    P: ndarray
    half: ndarray
    B: ndarray


def posterior_means(
    panel: LDPanel,
    trait: TraitData,
    f: Float[ndarray, " variant"],
    sigma2: float,
    *,
    progress: Progress = silent,
) -> Float[ndarray, " variant"]:
    """Posterior-mean effects on standardised genotypes, on the panel's rows; 0 where no window covers a variant.

    Args:
        panel: the LD panel.
        trait: its associations on the panel's rows.
        f: prior variances on the panel's rows.
        sigma2: residual variance of z.
        progress: told about each window.
    """
    effects = np.zeros(panel.variants.height)
    positions = panel.variants["position"].to_numpy()
    cores = panel.cores
    before: tuple[int, _Side] | None = None
    for index, core in enumerate(cores):
        side = _side(panel.window(index), trait)
        joined = before is not None and _adjacent(panel, before[0], index)
        if before is not None and not joined:
            _finish(effects, positions, panel, before, f, trait, sigma2)
        if side is None:
            before = None
        else:
            if joined and before is not None:
                left = cores[before[0]]
                low, high = (left.start + left.end) / 2, (core.start + core.end) / 2
                _assign(effects, positions, (low, high), [before[1], side], f, trait, sigma2)
            else:
                _assign(effects, positions, (core.start, (core.start + core.end) / 2), [side], f, trait, sigma2)
            before = (index, side)
        progress(index + 1, len(cores), "windows")
    if before is not None:
        _finish(effects, positions, panel, before, f, trait, sigma2)
    return effects


def _finish(
    effects: ndarray,
    positions: ndarray,
    panel: LDPanel,
    last: tuple[int, _Side],
    f: ndarray,
    trait: TraitData,
    sigma2: float,
) -> None:
    """The second half of a core without a right neighbour."""
    core = panel.cores[last[0]]
    _assign(effects, positions, ((core.start + core.end) / 2, core.end), [last[1]], f, trait, sigma2)


def _adjacent(panel: LDPanel, left: int, right: int) -> bool:
    first, second = panel.cores[left], panel.cores[right]
    return first.chrom == second.chrom and second.start - first.end < max(panel.flank, 1)


def _side(window: PanelWindow, trait: TraitData) -> _Side | None:
    if trait.z.ndim != 1:
        raise ConfigError(
            f"`{trait.name}` holds {trait.replicates} replicates: weights need summary statistics with one."
        )
    z = trait.z[window.core_rows]
    observed = np.flatnonzero(trait.observed[window.core_rows])
    if observed.size == 0:
        return None
    scale = np.sqrt(trait.n[window.core_rows][observed] / trait.n_ref)
    scaled = None if (scale == 1).all() else scale
    whitening = rewhiten(window.factors, observed, scaled)
    B = window.factors.B.astype(np.float32)
    U = window.factors.V[observed] * np.sqrt(window.factors.lam)
    return _Side(
        rows=window.panel_rows,
        signal=B if whitening.T is None else whitening.T.astype(np.float32) @ B,
        w=whitening.P @ z[observed],
        observed_rows=window.core_rows[observed],
        P=whitening.P,
        half=whitening.P @ U,
        B=B,
    )


def _assign(
    effects: ndarray,
    positions: ndarray,
    bounds: tuple[float, float],
    sides: list[_Side],
    f: ndarray,
    trait: TraitData,
    sigma2: float,
) -> None:
    """Writes the posterior given one or two sides to the variants in (low, high]."""
    rows, signal, w = _stacked(sides)
    F = trait.n_ref * f[rows]
    C = (signal * F) @ signal.T
    C[np.diag_indices_from(C)] += sigma2
    solved = cho_solve(cho_factor(C, lower=True), w)
    low, high = bounds
    inside = (positions[rows] > low) & (positions[rows] <= high)
    chosen = rows[inside]
    effects[chosen] = f[chosen] * np.sqrt(trait.n_ref) * (signal[:, inside].T @ solved)


def _stacked(sides: list[_Side]) -> tuple[ndarray, ndarray, ndarray]:
    """Panel rows, whitened correlations and associations of one or two neighbouring cores together, in float64."""
    if len(sides) == 1:
        return sides[0].rows, sides[0].signal.astype(np.float64), sides[0].w
    a, b = sides
    shared, in_a, in_b = np.intersect1d(a.rows, b.observed_rows, return_indices=True)
    X = (a.half @ a.B[:, in_a].astype(np.float64)) @ b.P[:, in_b].T if shared.size else np.zeros((a.w.size, b.w.size))
    noise = np.block([[np.eye(a.w.size), X], [X.T, np.eye(b.w.size)]])
    values, vectors = np.linalg.eigh(noise)
    kept = values > MIN_NOISE
    whitener = (vectors[:, kept] / np.sqrt(values[kept])).T
    rows = np.union1d(a.rows, b.rows)
    signal = whitener[:, : a.w.size] @ _spread(a, rows) + whitener[:, a.w.size :] @ _spread(b, rows)
    return rows, signal, whitener @ np.concatenate([a.w, b.w])


def _spread(side: _Side, rows: ndarray) -> ndarray:
    """The side's whitened correlations on a longer list of variants; 0 beyond its flank."""
    wide = np.zeros((side.w.size, rows.size))
    wide[:, np.searchsorted(rows, side.rows)] = side.signal
    return wide


def weights(
    run: PathLike | Run,
    *,
    inputs: PriorInputs | None = None,
    progress: Progress = silent,
    **paths: Unpack[InputPaths],
) -> pl.DataFrame:
    """Posterior-mean effects of a run's traits for every panel variant.

    Args:
        run: the run, or its folder.
        inputs: files in place of the run's own.
        progress: told about each window.
        **paths: `inputs` as single arguments: `panel`, `sumstats`, `annotations`, `tracks`, `chain`.

    Returns:
        `chrom, position, variant_id, effect_allele, other_allele, eaf`, and for each trait the effect per allele
        (`weight` or `weight.NAME`) and on standardised genotypes (`beta` or `beta.NAME`). With y of variance 1,
        `weight = beta / sqrt(2 p (1 - p))`.

    Raises:
        DataError: an input of the run's own is not that of the fit.
        VarfxError: inputs that cannot be read or do not fit the run.
    """
    fitted, given = open_run(run), inputs or PriorInputs.of(**paths)
    files, _ = inputs_of_run(fitted, given)
    reference = files.open_panel()
    traits = [align_trait(each, reference, files.matching) for each in files.read_sumstats()]
    variants = panel_variants(reference, traits)
    f = variances(fitted, variants, files.read_annotations(), given.tracks_of_run(fitted))
    eaf = variants["eaf"].cast(pl.Float64).to_numpy()
    spread = np.sqrt(2 * eaf * (1 - eaf))
    result = variants.select("chrom", "position", "variant_id", "effect_allele", "other_allele", "eaf")
    for i, trait in enumerate(traits):
        suffix = "" if len(traits) == 1 else f".{trait.data.name}"
        beta = posterior_means(reference, trait.data, f[:, i], fitted.model.sigma2_values()[i], progress=progress)
        weight = np.divide(beta, spread, out=np.full_like(beta, np.nan), where=spread > 0)
        result = result.with_columns(
            pl.Series(f"weight{suffix}", weight).fill_nan(None), pl.Series(f"beta{suffix}", beta)
        )
    return result


def write_weights(table: pl.DataFrame, out: PathLike, *, run: PathLike | Run, form: Format = "plink") -> None:
    """Writes weights as a PLINK `--score` file or a PGS-Catalog scoring file (format 2.0).

    The PLINK file's columns are `ID A1 WEIGHT ...`: `plink2 --score FILE 1 2 3 header`; with several traits the weights
    are columns 3 on. Variants of weight 0 or unknown frequency are left out.

    Raises:
        ConfigError: the PGS-Catalog format is asked for several traits.
    """
    names = [name for name in table.columns if name == "weight" or name.startswith("weight.")]
    kept = table.filter(pl.any_horizontal(pl.col(names).is_not_null() & (pl.col(names) != 0)))
    if form == "pgs-catalog":
        if len(names) > 1:
            raise ConfigError("the PGS-Catalog format holds one trait. Use --format plink for several.")
        body = kept.select(
            rsID=identifier(),
            chr_name="chrom",
            chr_position="position",
            effect_allele="effect_allele",
            other_allele="other_allele",
            effect_weight="weight",
            allelefrequency_effect="eaf",
        )
        name = folder_of(run).name
        lines = [
            "###PGS CATALOG SCORING FILE - see https://www.pgscatalog.org/downloads/#dl_ftp_scoring for additional information",
            "#format_version=2.0",
            "##POLYGENIC SCORE (PGS) INFORMATION",
            f"#pgs_id={name}",
            f"#pgs_name={name}",
            f"#trait_reported={open_run(run).trait_names[0]}",
            "#weight_type=beta",
            "#genome_build=NR",
            f"#variants_number={kept.height}",
            "##SOURCE INFORMATION",
            f"#citation=varfx {__version__}",
        ]
        text = "\n".join(lines) + "\n" + body.write_csv(separator="\t")
    else:
        body = kept.select(
            identifier().alias("ID"),
            pl.col("effect_allele").alias("A1"),
            *[pl.col(name).alias(name.replace("weight", "WEIGHT", 1)) for name in names],
            pl.col("chrom").alias("CHROM"),
            pl.col("position").alias("POS"),
            pl.col("other_allele").alias("A2"),
            pl.col("eaf").alias("A1_FREQ"),
            *[pl.col(name.replace("weight", "beta", 1)).alias(name.replace("weight", "BETA_STD", 1)) for name in names],
        )
        text = body.write_csv(separator="\t")
    with sealed.atomic_path(out) as partial:
        partial.write_bytes(gzip.compress(text.encode(), mtime=0) if str(out).endswith(".gz") else text.encode())
