"""The public Python API, spelled as notebooks and outside checks spell it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch

import varfx

PACKAGES = sorted(name for _, name, is_package in pkgutil.walk_packages(varfx.__path__, "varfx.") if is_package)


def test_names_at_the_top() -> None:
    assert set(varfx.__all__) >= {"VarfxError", "WhitenedWindow", "__version__", "gwas", "ld", "likelihood", "prior"}
    assert dir(varfx) == varfx.__all__
    for name in varfx.__all__:
        assert getattr(varfx, name) is not None
    with pytest.raises(AttributeError, match="module 'varfx' has no attribute 'nothing'"):
        varfx.nothing  # noqa: B018


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_and_sorted(name: str) -> None:
    package = importlib.import_module(name)
    names = package.__all__
    assert len(set(names)) == len(names)
    for each in names:
        assert getattr(package, each) is not None, f"{name}.{each}"


@pytest.mark.parametrize("name", PACKAGES)
def test_every_room_says_what_lives_there_and_where_to_start(name: str) -> None:
    lines = [line for line in str(importlib.import_module(name).__doc__).splitlines() if line.strip()]
    assert 3 <= len(lines) <= 12
    assert any("Start with" in line or "    C = " in line for line in lines)


@pytest.mark.parametrize(
    ("package", "names"),
    [
        (
            "varfx.ld",
            {
                "Core",
                "Factors",
                "LDPanel",
                "PanelConfig",
                "PanelWindow",
                "WhitenedWindow",
                "build_panel",
                "open_panel",
                "whiten",
            },
        ),
        ("varfx.likelihood", {"LikelihoodResult", "exact"}),
    ],
)
def test_names_of_the_numerical_core(package: str, names: set[str]) -> None:
    assert set(importlib.import_module(package).__all__) >= names


def test_the_readme_example() -> None:
    R = np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]])
    B, w, lam = varfx.ld.whiten(R[:2, :2], R[:2], np.array([3.0, 1.0]), rank_variance=1.0)
    window = varfx.WhitenedWindow(B=B, w=w)
    out = varfx.likelihood.exact(window, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64), 1.0)
    assert lam.shape == (2,)
    assert out.log_p.shape == out.grad_sigma2.shape == ()
    assert out.grad_F.shape == (3,)
    C = R[:2] @ np.diag([0.1, 0.2, 0.3]) @ R[:2].T + R[:2, :2]
    density = -0.5 * (np.linalg.slogdet(C)[1] + np.array([3, 1]) @ np.linalg.solve(C, [3, 1]) + 2 * np.log(2 * np.pi))
    assert float(out.log_p) == pytest.approx(density + 0.5 * np.linalg.slogdet(R[:2, :2])[1], rel=1e-12)


def test_signatures_are_those_of_the_documentation() -> None:
    whiten = inspect.signature(varfx.ld.whiten).parameters
    assert list(whiten)[:4] == ["R_core", "R_cross", "z", "rank_variance"]
    assert whiten["rank_variance"].default == 1.0
    assert list(inspect.signature(varfx.likelihood.exact).parameters)[:3] == ["window", "F", "sigma2"]
    assert list(inspect.signature(varfx.WhitenedWindow).parameters)[:2] == ["B", "w"]


def test_errors_are_one_tree() -> None:
    errors = importlib.import_module("varfx.errors")
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__]
    assert all(issubclass(each, varfx.VarfxError) for each in classes)
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.StoreError, OSError)
