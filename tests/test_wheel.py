"""The wheel: built without a network, it holds the whole package, and the command runs from it alone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from varfx import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    pytest.importorskip("hatchling", reason="the build backend is not installed, and a test fetches nothing")
    folder = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, ROOT]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_its_data(wheel: Path) -> None:
    assert wheel.name == f"varfx-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"varfx-{__version__}.dist-info/METADATA").decode()
        entry_points = archive.read(f"varfx-{__version__}.dist-info/entry_points.txt").decode()
        licence = archive.read(f"varfx-{__version__}.dist-info/licenses/LICENSE").decode()
    source = ROOT / "src"
    files = {str(path.relative_to(source)) for path in (source / "varfx").rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert {"varfx/py.typed", "varfx/demos/sources.json", "varfx/cli/tree.py"} <= files
    assert {name for name in names if not name.startswith("varfx-")} == files
    assert "License-Expression: Apache-2.0" in metadata
    assert licence == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "varfx = varfx.cli:main" in entry_points


def test_the_command_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    environment.pop("XDG_DATA_HOME", None)

    def python(*words: str) -> str:
        command = [sys.executable, *words]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    assert python("-c", "import varfx; print(varfx.__file__)") == str(tmp_path / "site/varfx/__init__.py")
    assert python("-m", "varfx", "--version") == __version__
    assert "polypred" in python("-m", "varfx", "data", "fetch", "--list")
    python("-m", "varfx", "--install-completion", "--shell", "bash")
    (script,) = (tmp_path / ".local/share/bash-completion/completions").iterdir()
    assert "--holdout-chrom" in script.read_text()
