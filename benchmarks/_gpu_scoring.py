"""Part `scoring`: what `prior evaluate`, the start of `prior fit` and `prior weights` compute per window, on the CPU and on a device."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from _gpu_equality import row
from _gpu_measure import MEAN_F, Record, Setting, haplotypes, seconds_of, synchronise

CPU = torch.device("cpu")
SCORES = 1e-9  # relative tolerance of float64 log densities and eigenvalues
FITTED = 1e-6  # of the constant prior, which a quasi-Newton search finds
WEIGHTS = 1e-4  # of posterior means, whose whitened correlations are products in float32
N = 300_000.0
MISSING = 10  # every tenth variant has no association, so that windows are whitened again
NEEDED = ("polars", "zarr")


@dataclass(frozen=True, eq=False)
class MadeUpPanel:
    """As much of `LDPanel` as the computation reads: neighbouring cores with flanks of the length of a core.

    Attributes:
        stored: a window per core.
        flank: in bases; variants lie one base apart.
        size: variants.
    """

    stored: list[Any]
    flank: int
    size: int

    @cached_property
    def variants(self) -> Any:
        import polars as pl

        position = np.arange(self.size) + 1
        return pl.DataFrame({"position": position, "ld_score": np.full(self.size, 20.0)})

    @property
    def cores(self) -> list[Any]:
        return [window.core for window in self.stored]

    def rows(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.stored[index].core_rows, self.stored[index].panel_rows

    def window(self, index: int) -> Any:
        return self.stored[index]


def made_up_panel(individuals: int, core: int, cores: int, device: torch.device) -> MadeUpPanel:
    """Windows of rank `individuals - 1`, B in float16, whose eigenpairs are computed on the device."""
    from varfx.ld.store import PanelWindow
    from varfx.ld.whiten import Factors
    from varfx.ld.windows import Core

    size = (cores + 2) * core
    X = haplotypes(individuals, size, device).double() / individuals**0.5
    stored = []
    for number in range(cores):
        start, end = (number + 1) * core, (number + 2) * core
        here = X[:, start:end]
        lam, U = torch.linalg.eigh(here @ here.T)
        lam, U = lam.flip(0)[: individuals - 1], U.flip(1)[:, : individuals - 1]
        B = U.T @ X[:, start - core : end + core]
        V = here.T @ U / lam.sqrt()
        factors = Factors(lam=lam.cpu().numpy(), V=V.cpu().numpy(), B=B.half().cpu().numpy())
        rows = np.arange(size)
        places = {"core_rows": rows[start:end], "panel_rows": rows[start - core : end + core]}
        stored.append(PanelWindow(core=Core("1", start, end), factors=factors, **places))
    return MadeUpPanel(stored, core, size)


def made_up_data(panel: MadeUpPanel) -> Any:
    """Two traits in float64, of which the second lacks variants and has unequal sample sizes."""
    from varfx.training.gwas.windows import TraitData, WindowData

    rng = np.random.default_rng(5)
    z, n = rng.standard_normal((2, panel.size)) * 1.3, np.full(panel.size, N)
    z[1, ::MISSING] = np.nan
    fewer = np.where(np.isnan(z[1]), np.nan, N * rng.uniform(0.8, 1.0, panel.size))
    traits = [
        TraitData(name="complete", z=z[0], n=n, n_ref=N),
        TraitData(name="incomplete", z=z[1], n=fewer, n_ref=float(np.nanmedian(fewer))),
    ]
    heterozygosity = rng.uniform(0.02, 0.25, panel.size)
    return WindowData(panel, traits, np.zeros((panel.size, 0)), heterozygosity, dtype=torch.float64)  # type: ignore[arg-type]


def on_both(values: dict[str, Any], task: Callable[[torch.device], Any], setting: Setting, *, warm: bool = True) -> Any:
    """Results on the CPU and on the device; their seconds go into `values`, after a run to warm the device up."""
    results = []
    for name, device in (("cpu", CPU), ("device", setting.device)):
        if warm and device.type != "cpu":
            task(device)
            synchronise(device)
        started = time.perf_counter()
        results.append(task(device))
        synchronise(device)
        values[f"seconds_{name}"] = time.perf_counter() - started
    values["times_faster"] = values["seconds_cpu"] / values["seconds_device"]
    return results


def checked(values: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    values |= {"checks": rows, "passed": all(each["passed"] for each in rows)}


def scoring(record: Record, setting: Setting) -> None:
    """Scores, spectra, constant prior, re-whitening and posterior means, at the size of UK Biobank's windows."""
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        record.skip(f"all: {', '.join(lacking)} not installed")
        return
    panels: list[MadeUpPanel] = []
    with record.measurement("data") as values:
        individuals, core = setting.size(2001, 40), setting.size(4333, 60)
        values["seconds"] = seconds_of(
            lambda: panels.append(made_up_panel(individuals, core, 2, setting.device)), setting.device
        )
        values |= {"rank": individuals - 1, "core": core, "variants": 3 * core}
    if not panels:
        return
    panel = panels[0]
    data: list[Any] = []
    with record.measurement("re-whitening of two windows") as values:
        data.append(made_up_data(panel))
        started = time.perf_counter()
        data[0].plain(0), data[0].plain(1)
        values["seconds_cpu"] = time.perf_counter() - started
    for name, part in (("scores", score), ("constant prior", constant), ("posterior means", posterior)):
        if data and record.enough(name, 8):
            with record.measurement(name) as values:
                part(panel, data[0], setting, values)


def score(panel: MadeUpPanel, data: Any, setting: Setting, values: dict[str, Any]) -> None:
    """Log densities and spectra of two windows and two traits."""
    from varfx.prior.score import score_windows

    generator = torch.Generator().manual_seed(2)
    F = torch.exp(torch.randn(panel.size, 2, generator=generator, dtype=torch.float64)) * MEAN_F

    def variance_of(window: Any) -> Tensor:
        return F[torch.from_numpy(panel.rows(window.index)[1])]

    here, there = on_both(
        values, lambda device: score_windows(data, [0, 1], variance_of, [1.0, 1.1], device=device), setting
    )
    rows = [row("log p", torch.from_numpy(there.log_p), torch.from_numpy(here.log_p), SCORES)]
    for trait, name in enumerate(("complete", "incomplete")):
        pair = [
            torch.from_numpy(np.concatenate([each.eigenvalues for each in scores.spectra[trait]]))
            for scores in (there, here)
        ]
        rows.append(row(f"eigenvalues, {name}", *pair, SCORES))
    checked(values, rows)


def constant(panel: MadeUpPanel, data: Any, setting: Setting, values: dict[str, Any]) -> None:
    """The start of `prior fit`: three numbers per trait from some twenty passes over the windows."""
    from varfx.models import ModelConfig, VariancePrior
    from varfx.training.gwas.start import start_at_constant

    def fitted(device: torch.device) -> Tensor:
        model = VariancePrior(ModelConfig(kind="constant"), 0, 2).double()
        start_at_constant(model, data, [0, 1], mean_ld_score=20.0, steps=3, device=device)
        return torch.cat([model.scale, model.alpha, model.log_sigma2]).detach()

    here, there = on_both(values, fitted, setting, warm=False)
    checked(values, [row("scale, alpha, log sigma2", there, here, FITTED)])


def posterior(panel: MadeUpPanel, data: Any, setting: Setting, values: dict[str, Any]) -> None:
    """Posterior means of two neighbouring cores, taken together."""
    from varfx.prior.posterior import posterior_means

    f = np.exp(np.random.default_rng(3).standard_normal(panel.size)) * MEAN_F / N
    trait = data.traits[1]

    def means(device: torch.device) -> Tensor:
        return torch.from_numpy(posterior_means(panel, trait, f, 1.1, device=str(device)))  # type: ignore[arg-type]

    here, there = on_both(values, means, setting)
    checked(values, [row("posterior means", there, here, WEIGHTS)])
