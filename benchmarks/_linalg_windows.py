"""The windows that `linalg.py` measures on: real LD, and synthetic spectra of growing size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from varfx.genotypes.ldgm import Ldgm
from varfx.genotypes.open_ld import open_source
from varfx.ld.whiten import RELATIVE_FLOOR, WhitenedWindow
from varfx.likelihood.paper.ridged import PaperWindow

SIGMA2 = 1.0
MEAN_F = 0.05  # N f of a heritable trait in a large GWAS, averaged over variants; its spread is log-normal
SYNTHETIC_SIZES = (1024, 2048, 4096, 8192, 16384)
LARGEST_SYNTHETIC_R = 4096  # above it only whitened engines are measured: R in float64 alone would be 0.5 GB and more


@dataclass(frozen=True, eq=False)
class Case:
    """One window, as both families of engines take it.

    Attributes:
        name: for tables and pictures.
        white: whitened, float32.
        paper: correlations, float64, with the eigenpairs that are computed once; None where R would be too large.
        F: N f of each variant, float64.
    """

    name: str
    white: WhitenedWindow
    paper: PaperWindow | None
    F: Tensor

    @property
    def core(self) -> int:
        """How many variants are scored."""
        return self.white.num_variants if self.paper is None else self.paper.z.shape[0]


def ldgm_cases(data: Path, work: Path) -> Iterator[Case]:
    """The published block chr1:16,103-2,888,443: one variant per index, core = all, and core = the central third."""
    kept = work / "ldgm_correlation.pt"
    if not kept.is_file():
        source = Ldgm(data / "ldgm", one_per_index=True)
        everything = np.arange(source.variants.height)
        R, _ = source.correlation(everything, everything[:1])
        torch.save(torch.from_numpy(R), kept)
    R = torch.load(kept).double()
    size = R.shape[0]
    third = slice(size // 3, size - size // 3)
    yield _kept(work, "LDGM, core = all", lambda: (R, R))
    yield _kept(work, "LDGM, core = third", lambda: (R[third, third].contiguous(), R[third].contiguous()))


def polypred_cases(data: Path, work: Path) -> Iterator[Case]:
    """A 1 Mb window of 489 people: rank 488."""
    source = open_source([data / "gwas" / "polypred" / "1000G.subset.22.bed"], maf=0.0)
    X = torch.from_numpy(source.standardised(np.arange(source.variants.height), np.float64))
    R = X.T @ X / X.shape[0]
    yield _kept(work, "polypred chr22", lambda: (R, R))


def synthetic_case(size: int) -> Case:
    """Rank M/4, eigenvalues falling as k^-0.7, eigenvectors of a randomised cosine transform; core = all."""
    rng = np.random.default_rng(size)
    rank = size // 4
    lam = np.arange(1, rank + 1) ** -0.7
    lam *= size / lam.sum()
    chosen = rng.choice(size, rank, replace=False)
    waves = np.zeros((rank, size), dtype=np.float32)
    waves[np.arange(rank), chosen] = 1
    vectors = dct(waves, axis=1, norm="ortho", overwrite_x=True) * rng.choice([-1.0, 1.0], size).astype(np.float32)
    B = torch.from_numpy(np.sqrt(lam)[:, None].astype(np.float32) * vectors)
    F = variances(size, rng)
    effects = torch.from_numpy(rng.standard_normal(size)) * F.sqrt()
    w = B @ effects.float() + SIGMA2**0.5 * torch.from_numpy(rng.standard_normal(rank)).float()
    paper = None
    if size <= LARGEST_SYNTHETIC_R:
        wide = B.double()
        R = wide.T @ wide
        z = wide.T @ w.double()  # V lam^1/2 w
        paper = PaperWindow(R_core=R, R_cross=R, z=z)
        _ = paper.eigen
    return Case(f"synthetic, M = {size:,}", WhitenedWindow(B=B, w=w), paper, F)


def variances(size: int, rng: np.random.Generator) -> Tensor:
    """N f, log-normal."""
    return torch.from_numpy(MEAN_F * np.exp(rng.standard_normal(size) - 0.5))


def _kept(work: Path, name: str, correlations: Callable[[], tuple[Tensor, Tensor]]) -> Case:
    """The case of `(R_core, R_cross)`, from an earlier run if there was one: its eigendecomposition takes a minute."""
    path = work / (name.translate(str.maketrans({" ": "_", ",": None, "=": None})) + ".pt")
    if path.is_file():
        return torch.load(path, weights_only=False)
    case = _case(name, *correlations())
    torch.save(case, path)
    return case


def _case(name: str, R_core: Tensor, R_cross: Tensor) -> Case:
    rng = np.random.default_rng(1)
    F = variances(R_cross.shape[1], rng)
    bare = PaperWindow(R_core=R_core, R_cross=R_cross, z=torch.zeros(R_core.shape[0], dtype=torch.float64))
    lam, V = bare.eigen
    rank = int((lam > RELATIVE_FLOOR * lam[0]).sum())
    lam, V = lam[:rank], V[:, :rank]
    effects = F.sqrt() * torch.from_numpy(rng.standard_normal(F.shape[0]))
    noise = SIGMA2**0.5 * lam.sqrt() * torch.from_numpy(rng.standard_normal(rank))
    paper = PaperWindow(R_core=R_core, R_cross=R_cross, z=R_cross @ effects + V @ noise)
    paper.__dict__["eigen"] = bare.eigen  # the same R: not decomposed twice
    scaled = V / lam.sqrt()
    white = WhitenedWindow(B=(scaled.T @ R_cross).float(), w=(scaled.T @ paper.z).float())
    return Case(name, white, paper, F)
