"""`Standardiser`: from named channels with gaps to the features of a model, the same when fitting and predicting."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray

from varfx.annotations.store import INDICATOR
from varfx.errors import DataError
from varfx.short_repr import short_repr

_log = logging.getLogger(__name__)
EXTREME = 50.0  # standard deviations: a 0/1 channel with 1 in fewer than 1 of 2,500 variants, or a heavy tail


@dataclass(frozen=True, eq=False)
class Standardiser:
    """Maps raw channels to a model's features, by name and with the means and deviations of the variants of the fit.

    A channel becomes (value - mean) / sd. Its missing values become 0, the mean; a channel that had any when fitted
    gets a second feature `NAME.missing`, 1 where missing and 0 elsewhere, as it is.

    Attributes:
        channels: names in the order of the features.
        mean: over the values that are there; 0 where none is.
        sd: their standard deviation (divisor: their number); 1 for a channel that does not vary.
        indicated: whether the channel has an indicator.
        notes: warnings about channels, one sentence each.
    """

    __repr__ = short_repr

    channels: tuple[str, ...]
    mean: Float64[ndarray, " channel"]
    sd: Float64[ndarray, " channel"]
    indicated: Bool[ndarray, " channel"]
    notes: tuple[str, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features' names: the channels, then the indicators."""
        indicated = (name for name, flag in zip(self.channels, self.indicated, strict=True) if flag)
        return self.channels + tuple(name + INDICATOR for name in indicated)

    @classmethod
    def fit(
        cls,
        channels: Sequence[str],
        values: Float32[ndarray, "variant channel"],
        missing: Bool[ndarray, "variant channel"],
    ) -> Standardiser:
        """The standardiser of these variants.

        Args:
            channels: a name per column.
            values: anything, NaN too, where missing.
            missing: what is missing.

        Raises:
            DataError: shapes or names that do not fit, or a value that is neither finite nor missing.
        """
        _check_shapes(channels, values, missing)
        mean, sd = np.zeros(len(channels)), np.ones(len(channels))
        notes: list[str] = []
        for k, name in enumerate(channels):
            mean[k], sd[k], note = _moments(name, values[~missing[:, k], k].astype(np.float64))
            notes += [] if note is None else [note]
        for note in notes:
            _log.warning(note)
        return cls(tuple(channels), mean, sd, np.asarray(missing.any(axis=0)), tuple(notes))

    def apply(
        self,
        channels: Sequence[str],
        values: Float32[ndarray, "variant channel"],
        missing: Bool[ndarray, "variant channel"],
    ) -> Float32[ndarray, "variant feature"]:
        """The features of any variants, with columns matched by name.

        Channels that were not there when fitted are ignored, and logged. Values missing from a channel that was
        complete when fitted have no indicator: they become the mean, and are counted in a logged warning.

        Args:
            channels: a name per column.
            values: anything, NaN too, where missing.
            missing: what is missing.

        Raises:
            DataError: a channel is not there, or a value is neither finite nor missing.
        """
        _check_shapes(channels, values, missing)
        absent = [name for name in self.channels if name not in channels]
        if absent:
            raise DataError(
                f"{len(absent)} of {len(self.channels)} channels that the model was fitted with are not there: "
                f"{', '.join(f'`{name}`' for name in absent[:10])}. Build the annotations with the same inputs and names."
            )
        extra = [name for name in channels if name not in self.channels]
        if extra:
            _log.info("%d channels unknown to the model are ignored: %s", len(extra), ", ".join(extra[:10]))
        features = np.empty((values.shape[0], len(self.feature_names)), dtype=np.float32)
        indicator = len(self.channels)
        for k, name in enumerate(self.channels):
            column = list(channels).index(name)
            gap = missing[:, column]
            standardised = (values[:, column].astype(np.float64) - self.mean[k]) / self.sd[k]
            features[:, k] = np.where(gap, 0.0, standardised)
            if self.indicated[k]:
                features[:, indicator] = gap
                indicator += 1
            elif gap.any():
                _log.warning(
                    "channel `%s` is missing for %d of %d variants, but was complete when the model was fitted: its "
                    "mean is used there",
                    name,
                    gap.sum(),
                    gap.size,
                )
        return features

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values from which `from_dict` makes the same standardiser."""
        return {
            "channels": list(self.channels),
            "mean": self.mean.tolist(),
            "sd": self.sd.tolist(),
            "indicated": self.indicated.tolist(),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Standardiser:
        """The standardiser that `to_dict` described.

        Raises:
            DataError: a key is missing, or a value has the wrong kind or length.
        """
        try:
            channels = tuple(str(name) for name in stored["channels"])
            mean, sd = (np.array(stored[name], dtype=np.float64) for name in ("mean", "sd"))
            indicated = np.array(stored["indicated"], dtype=bool)
            notes = tuple(str(note) for note in stored["notes"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"The stored standardisation cannot be read ({error!r}). Fit the model anew.") from error
        whole = all(array.shape == (len(channels),) and np.isfinite(array).all() for array in (mean, sd, indicated))
        if not whole or not (sd > 0).all():
            raise DataError(
                "The stored standardisation is not one mean and positive sd per channel. Fit the model anew."
            )
        return cls(channels, mean, sd, indicated, notes)


def _moments(name: str, present: Float64[ndarray, " variant"]) -> tuple[float, float, str | None]:
    """Mean and standard deviation of a channel's values, and a warning about a channel that teaches nothing or too much."""
    if not present.size:
        return 0.0, 1.0, f"Channel `{name}` is missing for all variants: it can teach nothing."
    mean = float(present.mean())
    if not np.ptp(present) > 0:
        return mean, 1.0, f"Channel `{name}` is {mean:g} for all variants: it can teach nothing."
    sd = float(present.std())
    away = np.abs(present - mean) / sd
    extreme = int((away > EXTREME).sum())
    if not extreme:
        return mean, sd, None
    note = (
        f"Channel `{name}`: {extreme} of {present.size} variants lie more than {EXTREME:.0f} standard deviations from the mean, up to "
        f"{away.max():.0f}. So few variants decide what it teaches: leave it out, join it with another, or transform its scale."
    )
    return mean, sd, note


def _check_shapes(channels: Sequence[str], values: ndarray, missing: ndarray) -> None:
    """Raises unless names and arrays fit, and every value is finite or missing."""
    if len(set(channels)) != len(channels):
        repeated = next(name for name in channels if list(channels).count(name) > 1)
        raise DataError(f"`channels`: the name `{repeated}` stands more than once. Rename one of them.")
    if values.ndim != 2 or values.shape[1] != len(channels) or missing.shape != values.shape or not values.shape[0]:
        raise DataError(
            f"`values` {values.shape} and `missing` {missing.shape} must both have shape (variants, {len(channels)}), "
            "with a column per channel and at least one variant."
        )
    for k, name in enumerate(channels):
        bad = ~np.isfinite(values[:, k]) & ~missing[:, k]
        if bad.any():
            raise DataError(
                f"`values`: channel `{name}` is not finite in {bad.sum()} of {bad.size} rows, first row "
                f"{int(bad.argmax()) + 1}. Mark them as missing."
            )
