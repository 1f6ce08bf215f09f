"""Square matrices as objects: their size, precision and device, taken from one tensor."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class SquareMatrix(ABC):
    """An n x n matrix whose size, dtype and device are those of one tensor."""

    @property
    @abstractmethod
    def like(self) -> Tensor:
        """A tensor of n rows, in the precision and on the device of the products."""

    @property
    def size(self) -> int:
        """n, the number of rows and of columns."""
        return self.like.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the products; the storage may have a lower one."""
        return self.like.dtype

    @property
    def device(self) -> torch.device:
        """The device of the products."""
        return self.like.device

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.size, self.size
