"""A machine with a GPU, torch and little else: what the tests marked `gpu` import needs no reader of a file format."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import varfx
from cases.bare_machine import READERS, ROOT, environment_without

OUTSIDE = ("varfx.cli", "varfx.__main__")


EVERYTHING = """
import importlib, sys
import pytest
for name in {modules!r}:
    importlib.import_module(name)
print("loaded", flush=True)
sys.exit(pytest.main(["--assert=plain", "-m", "gpu", "--collect-only"]))
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return environment_without(READERS, tmp_path)


def run(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_modules_and_marked_tests_load_without_the_readers(environment: dict[str, str]) -> None:
    """All modules; then pytest collects the marked tests, and imports no other file. One process, as both import torch."""
    names = [module.name for module in pkgutil.walk_packages(varfx.__path__, "varfx.")]
    modules = [name for name in names if not name.startswith(OUTSIDE)]
    assert len(modules) > 150
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "tests").rglob("test_*.py")}
    marked = [name for name, path in files.items() if "pytest." + "mark.gpu" in path.read_text(encoding="utf-8")]
    assert len(marked) >= 3
    done = run(EVERYTHING.format(modules=modules), environment)
    assert done.stdout.startswith("loaded\n"), done.stderr[-2000:]
    assert done.returncode == 0, done.stdout[-2000:]
    assert sorted({line.split("::")[0] for line in done.stdout.splitlines() if "::" in line}) == sorted(marked)


def test_a_missing_reader_is_noticed_where_a_file_is_opened(environment: dict[str, str]) -> None:
    done = run("from varfx.genome.htslib import silent_pysam\nwith silent_pysam(): pass", environment)
    assert "import of pysam halted" in done.stderr
