"""`Standardiser`: from named channels with gaps to the features of a model, the same when fitting and predicting."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray

from varfx.annotations.channels import Channels, HeldChannels, missing_counts
from varfx.annotations.features import Features, ReadFeatures
from varfx.annotations.moments import doubts, moments
from varfx.annotations.store import INDICATOR
from varfx.errors import DataError
from varfx.short_repr import short_repr

_log = logging.getLogger(__name__)


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
        return cls.of([_held(channels, values, missing)])

    @classmethod
    def of(cls, parts: Sequence[Channels]) -> Standardiser:
        """The standardiser of the variants of all parts, in one pass; a part's channels may stand in another order.

        Raises:
            DataError: a name stands twice, or there are no variants.
        """
        names = parts[0].names
        _check_names(names)
        alike = [part.take(names) for part in parts]
        found = moments(alike)
        notes = doubts(alike, found)
        for note in notes:
            _log.warning(note)
        return cls(
            channels=names,
            mean=np.array([each.mean for each in found]),
            sd=np.array([each.sd for each in found]),
            indicated=np.array([each.missing > 0 for each in found], dtype=bool),
            notes=tuple(notes),
        )

    def apply(
        self,
        channels: Sequence[str],
        values: Float32[ndarray, "variant channel"],
        missing: Bool[ndarray, "variant channel"],
    ) -> Float32[ndarray, "variant feature"]:
        """The features of any variants, with columns matched by name.

        Args:
            channels: a name per column.
            values: anything, NaN too, where missing.
            missing: what is missing.

        Raises:
            DataError: a channel is not there, or a value is neither finite nor missing.
        """
        return self.features(_held(channels, values, missing)).rows(slice(None))

    def features(self, channels: Channels) -> Features:
        """The features of any variants, with channels matched by name: in memory where the channels are, else read with them.

        Channels that were not there when fitted are ignored, and logged. Values missing from a channel that was
        complete when fitted have no indicator: they become the mean, and are counted in a logged warning.

        Raises:
            DataError: a channel is not there.
        """
        absent = [name for name in self.channels if name not in channels.names]
        if absent:
            raise DataError(
                f"{len(absent)} of {len(self.channels)} channels that the model was fitted with are not there: "
                f"{', '.join(f'`{name}`' for name in absent[:10])}. Build the annotations with the same inputs and names."
            )
        extra = [name for name in channels.names if name not in self.channels]
        if extra:
            _log.info("%d channels unknown to the model are ignored: %s", len(extra), ", ".join(extra[:10]))
        known = channels.take(self.channels)
        self._warn_of_gaps(known)
        read = ReadFeatures(known, len(self.feature_names), self.standardised)
        return read.held() if channels.held else read

    def standardised(self, values: Float32[ndarray, "variant channel"]) -> Float32[ndarray, "variant feature"]:
        """The features of values in the order of `channels`, NaN where missing."""
        features = np.empty((values.shape[0], len(self.feature_names)), dtype=np.float32)
        indicator = len(self.channels)
        for k in range(len(self.channels)):
            gap = np.isnan(values[:, k])
            features[:, k] = np.where(gap, 0.0, (values[:, k].astype(np.float64) - self.mean[k]) / self.sd[k])
            if self.indicated[k]:
                features[:, indicator] = gap
                indicator += 1
        return features

    def _warn_of_gaps(self, channels: Channels) -> None:
        """Warnings about gaps in channels that had none when fitted."""
        doubtful = [
            name
            for name, indicated in zip(self.channels, self.indicated, strict=True)
            if not indicated and not channels.complete(name)
        ]
        if not doubtful:
            return
        for name, count in zip(doubtful, missing_counts(channels.take(doubtful)), strict=True):
            if count:
                _log.warning(
                    "channel `%s` is missing for %d of %d variants, but was complete when the model was fitted: its "
                    "mean is used there",
                    name,
                    count,
                    channels.height,
                )

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


def _held(channels: Sequence[str], values: ndarray, missing: ndarray) -> HeldChannels:
    """Arrays as channels.

    Raises:
        DataError: names and arrays do not fit, or a value is neither finite nor missing.
    """
    _check_names(channels)
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
    return HeldChannels(channels, np.where(missing, np.nan, values))


def _check_names(channels: Sequence[str]) -> None:
    """Raises if a name stands twice."""
    if len(set(channels)) != len(channels):
        repeated = next(name for name in channels if list(channels).count(name) > 1)
        raise DataError(f"`channels`: the name `{repeated}` stands more than once. Rename one of them.")
