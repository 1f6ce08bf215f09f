"""`Standardiser`: how named channels with gaps become the features of a model, the same when fitting and predicting."""

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

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Standardiser:
    """How raw channels become a model's features: by name, with the numbers of the variants it was fitted on.

    A channel becomes (value - mean) / sd. Its missing values become 0, the mean; a channel that had any when fitted
    gets a second feature `NAME.missing`, 1 where missing and 0 elsewhere, as it is.

    Attributes:
        channels: names in the order of the features.
        mean: over the values that are there; 0 where none is.
        sd: their standard deviation (divisor: their number); 1 for a channel that does not vary.
        indicated: whether the channel has an indicator.
        notes: what the user should know, one sentence each.
    """

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
        notes = []
        for k, name in enumerate(channels):
            present = values[~missing[:, k], k].astype(np.float64)
            if present.size:
                mean[k] = present.mean()
            if present.size and np.ptp(present) > 0:
                sd[k] = present.std()
            else:
                value = f"{mean[k]:g} for all variants" if present.size else "missing for all variants"
                notes.append(f"Channel `{name}` is {value}: it can teach nothing.")
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
