"""Shortcuts of windows of rank 512 and more against what smaller windows get, on small windows that are taken for large ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cases.heritability import Draw
from cases.simulated_panel import Simulated
from varfx.annotations import Annotations
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood import average_information, exact
from varfx.models import ModelConfig, VariancePrior
from varfx.prior import score
from varfx.prior.heritability import calibrate as calibration
from varfx.prior.inputs import align_trait
from varfx.training import TraitData, start_at_constant
from varfx.training.gwas import start
from varfx.training.gwas.module import sample_of
from varfx.training.gwas.windows import WindowData

RANK, VARIANTS = 60, 300


def strong_window() -> tuple[WhitenedWindow, torch.Tensor]:
    """A window of associations far from the null, with a steep spectrum."""
    rng = np.random.default_rng(0)
    lam = np.geomspace(200, 0.05, RANK)
    B = np.linalg.qr(rng.standard_normal((VARIANTS, RANK)))[0].T * np.sqrt(lam)[:, None]
    F = 0.5 * rng.gamma(0.3, 2, VARIANTS)
    w = B @ (np.sqrt(F) * rng.standard_normal(VARIANTS)) + rng.standard_normal(RANK)
    return WhitenedWindow(B=torch.from_numpy(B), w=torch.from_numpy(w)), torch.from_numpy(F)


def test_one_product_in_float32_gives_log_p_and_spectrum() -> None:
    window, F = strong_window()
    log_p, found = score.log_p_and_spectrum(window, F, 1.1)
    assert log_p == pytest.approx(float(exact(window, F, 1.1).log_p), abs=0.01)
    expected = score.spectrum(window, F)
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, atol=1e-5 * expected.eigenvalues.max())
    assert not score.is_large(window)


def test_information_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    window, F = strong_window()
    D = torch.randn(VARIANTS, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    double = average_information.window_information(window, F, D, 1.1)
    monkeypatch.setattr(average_information, "LEAST_RANK", 1)
    single = average_information.window_information(window, F, D, 1.1)
    assert double is not None
    assert single is not None
    assert (np.abs(single.score - double.score) < 1e-3 * np.sqrt(np.diag(double.information))).all()
    np.testing.assert_allclose(single.information, double.information, rtol=1e-4, atol=1e-4)
    assert (single.score != double.score).any()


def trait_of(simulated: Simulated) -> TraitData:
    from varfx.gwas.sumstats import read_sumstats

    return align_trait(read_sumstats(simulated.height), simulated.open()).data


def windows_of(simulated: Simulated) -> WindowData:
    panel, size = simulated.open(), simulated.active.size
    return WindowData(panel, [trait_of(simulated)], np.zeros((size, 0)), np.full(size, 0.2))


def test_the_constant_start_by_probes_is_the_optimum(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a nat of the exact optimum over all windows together."""
    nats = []
    for least in (10**9, 1):
        monkeypatch.setattr(start, "LEAST_RANK", least)
        model, data = VariancePrior(ModelConfig(kind="constant"), 0, 1), windows_of(simulated)
        windows = list(range(len(data.panel.cores)))
        start_at_constant(model, data, windows, mean_ld_score=5.0)
        with torch.no_grad():
            F = [model(data[i].features, data[i].heterozygosity)[:, 0] for i in windows]
            sigma2 = model.sigma2_values()[0]
            nats.append(sum(float(exact(data[i].traits[0], f, sigma2).log_p) for i, f in zip(windows, F, strict=True)))  # type: ignore[arg-type]
    assert nats[0] - 1 < nats[1] <= nats[0] + 0.01


def test_associations_need_no_B(simulated: Simulated) -> None:
    data = windows_of(simulated)
    (alone,) = data.associations(0)
    trait = data[0].traits[0]
    assert alone is not None
    assert trait is not None
    assert torch.equal(alone, trait.w)
    assert data.associations(0)[0] is trait.w


def test_a_sixth_of_the_windows_leads_to_the_same_calibration(
    draw: Draw, active: Annotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = draw(1)
    directions = np.c_[np.ones(prior.f.size), active.table["active"].to_numpy().astype(np.float64)]
    whole = calibration.calibrate(prior, directions)
    monkeypatch.setattr(calibration, "MANY_WINDOWS", 10)
    monkeypatch.setattr(calibration, "LEAST_RANK", 1)
    assert calibration.first_windows(prior) == prior.windows[::6]
    begun = calibration.calibrate(prior, directions)
    assert begun.maximum.rounds[0].change < 0.2 * whole.maximum.rounds[0].change
    np.testing.assert_allclose(begun.maximum.theta, whole.maximum.theta, atol=5e-3)


def test_checks_look_at_a_sample() -> None:
    assert sample_of([3, 5, 9], 128) == [3, 5, 9]
    assert sample_of(list(range(100)), 5) == [0, 25, 50, 74, 99]
