"""Loci in step on a device give the numbers of one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray

import varfx.finemap.run as run_module
from cases.simulated_panel import Simulated
from varfx.errors import DataError
from varfx.finemap import Noise, Susie, SusieConfig, finemap, study_without_prior
from varfx.finemap.fit import Steps
from varfx.finemap.ld_matrix import DenseLD
from varfx.finemap.lockstep import best_variances, together
from varfx.finemap.run import batches
from varfx.finemap.single_effect import best_variance
from varfx.finemap.susie import alone, susie_steps
from varfx.prior.files import PriorInputs

CPU = torch.device("cpu")
NOISES = (
    Noise(),
    Noise(reference_size=300, mismatch=True),
    Noise(sigma2=None),
    Noise(background=np.full(1, 0.3)),
    Noise(sigma2=None, background=np.full(1, 0.3)),
    Noise(background=np.full(1, 0.3), kappa=0.7, reference_size=300, mismatch=True),
)


def locus(rng: np.random.Generator, size: int, effects: int) -> tuple[ndarray, ndarray, ndarray]:
    X = np.cumsum(rng.standard_normal((300, size)), axis=1) * 0.3 + rng.standard_normal((300, size))
    R = np.corrcoef(X.T)
    b = np.zeros(size)
    b[rng.choice(size, effects, replace=False)] = rng.normal(0, 8, effects)
    return rng.multivariate_normal(R @ b, R, method="eigh"), R, rng.gamma(1.0, 1.0, size)


def same(one: Susie, other: Susie, tolerance: float = 1e-8) -> None:
    assert one.sweeps == other.sweeps
    assert one.converged == other.converged
    for name in ("pip", "alpha", "mean", "V", "log_bf", "background_mean"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=tolerance, atol=tolerance, err_msg=name
        )
    assert one.kappa == pytest.approx(other.kappa, abs=tolerance)
    assert one.mismatch == pytest.approx(other.mismatch, abs=tolerance)
    assert one.elbo == pytest.approx(other.elbo, abs=1e-6)
    assert [list(each) for each in one.sets] == [list(each) for each in other.sets]


@pytest.mark.parametrize("noise", NOISES, ids=range(len(NOISES)))
def test_loci_in_step_are_those_one_by_one(rng: np.random.Generator, noise: Noise) -> None:
    cases = [locus(rng, size, effects) for size, effects in ((30, 0), (41, 1), (24, 3), (60, 2), (5, 1))]

    def steps(z: ndarray, R: ndarray, f: ndarray, *, factored: bool) -> Steps:
        own = noise if noise.background is None else replace(noise, background=0.3 * f)
        ld = DenseLD(R).factored() if factored else R
        return susie_steps(z, ld, 5000, 6, f, noise=own, config=SusieConfig(max_sweeps=40))

    for factored in (False, True):
        single = [alone(steps(*case, factored=factored)) for case in cases]
        batch = together([steps(*case, factored=factored) for case in cases], CPU)
        for one, other in zip(batch, single, strict=True):
            same(one, other)


def test_variances_of_rows_are_those_of_each(rng: np.random.Generator) -> None:
    s2 = (rng.standard_normal((40, 20)) * rng.choice([0.3, 1.0, 4.0, 20.0], (40, 1))) ** 2
    d = rng.uniform(0.2, 2, (40, 20))
    weights = np.log(rng.dirichlet(np.ones(20), 40))
    found = best_variances(*(torch.from_numpy(each) for each in (s2, d, weights))).numpy()
    one = [best_variance(*row) for row in zip(s2, d, weights, strict=True)]
    assert 0 < np.count_nonzero(one) < 40
    np.testing.assert_allclose(found, one, rtol=1e-9, atol=0)


def test_a_fit_that_diverges_says_so_in_step(rng: np.random.Generator) -> None:
    bad = DenseLD(1.5 * np.eye(30) - 0.5)
    good = locus(rng, 20, 1)
    fits = [susie_steps(good[0], good[1], 5e4), susie_steps(np.linspace(-9, 9, 30), bad, 5e4)]
    with pytest.raises(DataError, match="the fit diverged"):
        together(fits, CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of CUDA")
def test_a_gpu_gives_the_same(rng: np.random.Generator) -> None:
    cases = [locus(rng, size, 2) for size in (300, 280, 150)]
    noise = Noise(reference_size=300, mismatch=True)
    single = [alone(susie_steps(z, R, 5000, 10, f, noise=noise)) for z, R, f in cases]
    batch = together([susie_steps(z, R, 5000, 10, f, noise=noise) for z, R, f in cases], torch.device("cuda", 0))
    for one, other in zip(batch, single, strict=True):
        same(one, other)


def test_loci_of_a_study_in_step(
    simulated: Simulated, sparse_trait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command's own path for a GPU, on the CPU's tensors."""
    (tmp_path / "L.bed").write_text("chr1\t0\t200000\nchr2\t100000\t300000\nchr2\t90000\t99999\nchr3\t399999\t400000\n")
    study = study_without_prior(PriorInputs.of(panel=simulated.panel, sumstats=sparse_trait))
    plain = finemap(study, bed=tmp_path / "L.bed", device="cpu")
    task, loci = [], []
    original = run_module.fit_loci

    def in_step(own: object, some: list[object], device: str) -> object:
        task.append(own)
        loci.extend(some)
        return [None] * len(some)

    monkeypatch.setattr(run_module, "fit_loci", in_step)
    with pytest.raises(DataError, match="none of 4 loci"):
        finemap(study, bed=tmp_path / "L.bed", device="cpu")
    monkeypatch.setattr("varfx.device.find_float64_device", lambda name: CPU)
    found = original(task[0], loci, "cuda")
    assert [each is None for each in found] == [False, False, False, True]
    for one, other in zip(found[:3], plain.loci, strict=True):
        assert one is not None
        assert one.locus == other.locus
        same(one.fit, other.fit)
        np.testing.assert_allclose(one.pip_uniform, other.pip_uniform, rtol=0, atol=1e-8)


def test_batches_hold_loci_of_similar_size() -> None:
    sizes = np.array([100, 5000, 90, 4000, 1000, 0])
    assert batches(sizes, bytes_per_batch=16 * 5000**2 * 2) == [[1, 3], [4], [0, 2], [5]]
    assert batches(sizes, bytes_per_batch=1)[:2] == [[1], [3]]
    many = batches(np.full(130, 10), bytes_per_batch=1 << 30)
    assert [len(part) for part in many] == [64, 64, 2]
