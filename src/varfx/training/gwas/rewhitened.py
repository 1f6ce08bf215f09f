"""One trait's whitened associations in one window, and what turns the stored `B` into theirs; computed once and kept in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from varfx.io.sealed import atomic_path
from varfx.ld.gaps import turned
from varfx.ld.whiten import Factors, WhitenedWindow, rewhiten


@dataclass(frozen=True, eq=False)
class Associations:
    """`w` of one trait, and its `T`: as it is, as the reflections Y and W of `varfx.ld.gaps`, or none for the identity."""

    w: Float[Tensor, "rank ..."]
    T: Float[Tensor, "rank stored"] | None = None
    Y: Float[Tensor, "stored weak"] | None = None
    W: Float[Tensor, "stored weak"] | None = None

    @classmethod
    def of(
        cls,
        factors: Factors,
        z: Float[ndarray, "observed ..."],
        observed: ndarray,
        scale: Float[ndarray, " observed"] | None,
        dtype: torch.dtype,
    ) -> Associations:
        """Those of the core variants `observed`; arguments as of `rewhiten`."""
        fresh = rewhiten(factors, observed, scale)
        w = torch.from_numpy(fresh.associations(z)).to(dtype)
        if fresh.strong is None:
            return cls(w, T=None if fresh.T is None else torch.from_numpy(fresh.T).to(dtype))
        Y, W = (torch.from_numpy(each).to(dtype) for each in fresh.strong.mirrors)
        return cls(w, Y=Y, W=W) if Y.shape[1] else cls(w)

    def window(self, B: Float[Tensor, "stored variant"], *, merge: bool) -> WhitenedWindow:
        """The window, with `T` multiplied into `B` where that is wanted."""
        if self.T is None and self.Y is None:
            return WhitenedWindow(B=B, w=self.w)
        if merge and self.Y is not None and self.W is not None:
            return WhitenedWindow(B=turned(self.Y, self.W, B), w=self.w)
        window = WhitenedWindow(B=B, w=self.w, T=self._rows())
        return window.merged(self.w.dtype) if merge else window

    def _rows(self) -> Tensor | None:
        if self.Y is None or self.W is None:
            return self.T
        return torch.eye(len(self.Y), dtype=self.Y.dtype)[self.Y.shape[1] :] - self.Y[self.Y.shape[1] :] @ self.W.T

    def write(self, path: Path) -> None:
        """Keeps them in a file."""
        path.parent.mkdir(exist_ok=True)
        arrays = {name: value.numpy() for name, value in vars(self).items() if value is not None}
        with atomic_path(path) as partial, open(partial, "wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> Associations:
        """Those that a file keeps."""
        with np.load(path) as kept:
            return cls(**{name: torch.from_numpy(kept[name]) for name in kept.files})
