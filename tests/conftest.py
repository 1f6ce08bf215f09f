"""What all tests share: where the real data is, and a fixed seed per test."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest

if TYPE_CHECKING:
    from cases.simulated_panel import Simulated

# Machines are shared: how long an example takes says nothing about the code.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")
os.environ.pop("COLUMNS", None)  # pytest-xdist hands its terminal's width to workers; ours prints as into a file
SHARED_DATA = Path(os.environ.get("VARFX_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

# The files that take longest, most first, so that no test process waits for the other's last one. One that is missing
# here costs time alone.
LONGEST = (
    "expression/network/test_fit.py", "expression/variants/test_score.py", "training/gwas/test_ddp.py", "cli/test_cluster.py",
    "ld/test_build.py", "training/gwas/test_fit.py", "torture/test_sample.py", "test_gpu_benchmark.py",
    "training/people/test_fit.py", "prior/experiment/test_experiment.py", "cli/test_prior.py", "io/test_workers.py",
    "prior/test_evaluate.py", "linalg/test_logdet.py", "prior/test_weights.py", "expression/linear/test_run.py",
    "training/test_nodes.py", "cli/test_demo_expression.py", "cli/test_demo.py", "expression/linear/test_informed.py",
    "expression/cohort/test_published_cases.py", "prior/test_ldsc.py", "likelihood/test_stochastic.py", "cli/test_finemap.py",
)  # fmt: skip
# Files and folders whose tests share a fixture that takes long, and therefore a test process.
TOGETHER = (
    ("expression/network/test_fit.py", "expression/variants/test_score.py"),
    ("pages",),
    ("prior/ancestries",),
    ("prior/heritability",),
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each file goes to one test process as a whole, so that what a module's tests share is made once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0].removeprefix("tests/")
            return next((group[0] for group in TOGETHER if file.startswith(group)), file)

    config.option.loadscopereorder = False  # by number of tests, which says little about their time
    return ByFile(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m gpu`, files without such tests are not even imported: a machine with a GPU may lack what they need."""
    if config.option.markexpr != "gpu" or collection_path.suffix != ".py":
        return None
    return "pytest.mark.gpu" not in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))
    if not SHARED_DATA.is_dir():
        for item in items:
            if item.get_closest_marker("shared_data"):
                item.add_marker(pytest.mark.skip(reason=f"real data absent: set VARFX_DATA (looked in {SHARED_DATA})"))
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch  # here, as the process that only hands out tests needs none

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def pytest_collection_finish() -> None:
    gc.freeze()  # what is loaded now stays: garbage is not looked for among the millions of objects of torch and of 7,000 tests


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; use together with `@pytest.mark.shared_data`."""
    return SHARED_DATA


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """A small panel with traits and annotations, as files; do not change them."""
    from cases.simulated_panel import simulate

    return simulate(tmp_path_factory.mktemp("simulated"))


@pytest.fixture
def small_study(rng: np.random.Generator) -> Callable[..., tuple[Path, Path]]:
    """A function that writes a PLINK reference and a GWAS (fastGWA) of a heritable trait, and returns both paths.

    Neighbours are in LD; each chromosome has `windows` stretches of 1 Mb from 20 Mb on with a dozen variants each.
    """
    import polars as pl
    import scipy.stats
    from bed_reader import to_bed

    def write(
        folder: Path, *, chroms: Sequence[str], windows: int, people: int = 80, per_window: int = 12
    ) -> tuple[Path, Path]:
        size = windows * per_window
        X = np.hstack([_genotypes(rng, people, size) for _ in chroms])
        position = [20_000_000 + np.sort(rng.choice(windows * 1_000_000, size, replace=False)) for _ in chroms]
        table = {
            "CHR": np.repeat(list(chroms), size),
            "SNP": [f"rs{i}" for i in range(X.shape[1])],
            "POS": np.concatenate(position),
            "A1": ["A"] * X.shape[1],
            "A2": ["C"] * X.shape[1],
        }
        properties = {
            "iid": [f"person{i}" for i in range(people)],
            "chromosome": table["CHR"],
            "sid": table["SNP"],
            "bp_position": table["POS"],
            "allele_1": table["A1"],
            "allele_2": table["A2"],
        }
        to_bed(folder / "reference.bed", X, properties=properties)
        standard = (X - X.mean(0)) / X.std(0)
        # The GWAS counts the other allele of every second variant: z has both signs, as in a real one.
        other = np.arange(X.shape[1]) % 2 == 1
        trait = standard @ rng.standard_normal(X.shape[1]) * 2 / people + rng.standard_normal(people) / people**0.5
        gwas = {**table, "N": 100_000, "AF1": X.mean(0) / 2, "BETA": standard.T @ trait, "SE": 1.0}
        gwas |= {"A1": np.where(other, "C", "A"), "A2": np.where(other, "A", "C")}
        gwas |= {
            name: np.where(other, flipped, gwas[name])
            for name, flipped in (("AF1", 1 - gwas["AF1"]), ("BETA", -gwas["BETA"]))
        }
        gwas["P"] = 2 * scipy.stats.norm.sf(np.abs(gwas["BETA"]))
        pl.DataFrame(gwas).write_csv(folder / "height.fastGWA", separator="\t")
        return folder / "reference.bed", folder / "height.fastGWA"

    return write


def _genotypes(rng: np.random.Generator, people: int, size: int) -> np.ndarray:
    """Counts of an allele on two haplotypes, each the sign of a random walk along the chromosome."""
    walks = np.cumsum(rng.standard_normal((2, people, size)) * 0.5, axis=2)
    return np.asarray((walks > walks.mean(axis=1, keepdims=True)).sum(axis=0).astype(np.int8))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what is measured here (engine times) out of the user's cache; a test may choose yet another folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VARFX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local workers start in a tenth of a second (`cases.forked`)."""
    from cases.forked import ForkedWorker, preload
    from varfx.io.local_workers import LocalWorkers

    preload()
    monkeypatch.setattr(LocalWorkers, "_spawn", lambda self: ForkedWorker(os.environ))


@pytest.fixture
def forked_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that train together start in a tenth of a second (`cases.forked`).

    On a machine with a GPU they are spawned, as in use: Lightning forks nothing that CUDA may be in.
    """
    import torch
    from lightning.pytorch.strategies import DDPStrategy

    from cases.forked import preload
    from varfx.training import session

    def strategy(*, start_method: str, **options: Any) -> DDPStrategy:
        forked = start_method == "spawn" and not torch.cuda.is_available()
        return DDPStrategy(start_method="forkserver" if forked else start_method, **options)

    preload()
    monkeypatch.setattr(session, "DDPStrategy", strategy)
