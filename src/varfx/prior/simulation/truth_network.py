"""True prior of a simulation: a random network over real features, or a fitted run (paper, section 5 and B.7).

    log f_m = c + alpha log(p_m (1 - p_m)) + log link(spread (score_m - mean) / sd)

The score is standardised over the panel, so that `spread` is how much log f varies, whatever the network; c is what makes the mean
of N f the one asked for.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from varfx.errors import ConfigError
from varfx.ld import LDPanel
from varfx.models import TrackEnformer, TrackEnformerConfig
from varfx.models.full_precision import full_precision
from varfx.models.prior import MIN_HETEROZYGOSITY, log_link
from varfx.prior.simulation.config import TruthConfig
from varfx.tracks.panel import PanelTracks

CPU = torch.device("cpu")
BIN = 16  # bases of one weight of a filter


def random_score(features: Float[ndarray, "variant feature"], config: TruthConfig) -> Float[ndarray, " variant"]:
    """The score of every variant under a random `mlp` or `linear`, of mean 0 and standard deviation 1, in float64.

    Raises:
        ConfigError: there are no features, or the score is the same for all variants.
    """
    if features.shape[1] == 0:
        raise ConfigError("a random truth needs features: give annotations or tracks.")
    rng = np.random.default_rng(config.seed)
    x = features.astype(np.float64)
    for width in config.hidden if config.kind in (None, "mlp") else ():
        weights = rng.standard_normal((x.shape[1], width)) * (config.gain / x.shape[1] ** 0.5)
        x = np.tanh(x @ weights + config.gain * rng.uniform(-1, 1, width))
    return standardised(x @ rng.standard_normal(x.shape[1]))


@torch.no_grad()
def track_score(
    panel: LDPanel, tracks: PanelTracks, config: TruthConfig, *, device: torch.device = CPU
) -> Float[ndarray, " variant"]:
    """The same of a random `enformer` or `filter` over the tracks around each of the panel's variants, computed on the device.

    Raises:
        ConfigError: sizes that do not fit, or a score that is the same for all variants.
    """
    network: TrackEnformer | None = None
    weights = random_filter(len(tracks.channels), config).to(device)
    if config.kind == "enformer":
        sizes = TrackEnformerConfig(window=config.window, width=config.width, depth=config.depth, zero_output=False)
        generator = torch.Generator().manual_seed(config.seed)
        network = TrackEnformer(sizes, len(tracks.channels), 0, 1, generator).eval().to(device)
    raw = np.full(panel.variants.height, np.nan)
    most = max(core.end - core.start for core in panel.cores) + 2 * panel.flank
    for index in range(len(panel.cores)):
        rows, _ = panel.rows(index)
        window = tracks.window(index, rows, torch.zeros(rows.size, 0), most_bases=most).to(device)
        if network is not None and index == 0:
            with full_precision(network):
                network.calibrate(window)
        for part in np.array_split(np.arange(rows.size), -(-rows.size // 1024)):
            chosen = torch.from_numpy(part).to(device)
            signal = window.gather(chosen)
            if network is None:
                raw[rows[part]] = (signal.double() * weights).sum((1, 2)).cpu().numpy()
            else:
                with full_precision(network):
                    score = network.score(signal, torch.zeros(part.size, 0, device=device))
                raw[rows[part]] = score[:, 0].double().cpu().numpy()
    return standardised(raw)


def random_filter(num_tracks: int, config: TruthConfig) -> Float[torch.Tensor, "track position"]:
    """Random weights that are the same over `BIN` bases, of mean 0 in each track."""
    count = -(-config.window // BIN)
    values = np.random.default_rng(config.seed).standard_normal((num_tracks, count))
    bases = np.repeat(values, BIN, axis=1)[:, : config.window]
    return torch.from_numpy(bases - bases.mean(1, keepdims=True))


def standardised(raw: Float[ndarray, " variant"]) -> Float[ndarray, " variant"]:
    """Scores brought to mean 0 and standard deviation 1.

    Raises:
        ConfigError: all are the same.
    """
    if not raw.std() > 0:
        raise ConfigError("the random truth is the same for all variants: check the features, or take another seed.")
    return np.asarray((raw - raw.mean()) / raw.std())


def log_variances(
    score: Float[ndarray, " variant"], heterozygosity: Float[ndarray, " variant"], config: TruthConfig
) -> Float[ndarray, " variant"]:
    """Log f up to a constant, from standardised scores."""
    base = config.alpha * np.log(np.maximum(heterozygosity, MIN_HETEROZYGOSITY))
    return np.asarray(base + log_link(torch.from_numpy(config.spread * score), config.link).numpy())


def linear_r2(
    log_f: Float[ndarray, " variant"],
    features: Float[ndarray, "variant feature"],
    heterozygosity: Float[ndarray, " variant"],
) -> float:
    """The share of the variance of log f that a linear function of features and log p (1 - p) explains (least squares)."""
    X = np.column_stack([np.ones(log_f.size), features, np.log(np.maximum(heterozygosity, MIN_HETEROZYGOSITY))])
    fitted = X @ np.linalg.lstsq(X.astype(np.float64), log_f, rcond=None)[0]
    total = np.square(log_f - log_f.mean()).sum()
    return float(1 - np.square(log_f - fitted).sum() / total) if total > 0 else 1.0
