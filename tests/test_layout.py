"""The layout's rules, read from the source: who imports whom, who prints, and what `import varfx` loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import varfx

ROOT = Path(varfx.__file__).parent
# A folder imports only from floors above it in this list, and from its own.
FLOORS = (
    ("_version", "errors", "progress", "bootstrap"),
    ("io",),
    ("genome", "linalg"),
    ("gwas", "genotypes", "models"),
    ("annotations", "ld"),
    ("tracks", "likelihood", "report"),
    ("training",),
    ("prior",),
    ("expression",),
    ("demos",),
    ("cli",),
)
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = sorted(ROOT.rglob("*.py"))


def floor(path: Path) -> str:
    """The folder (or top-level module) that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every module imported anywhere in a file, also within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def offences(path: Path) -> list[str]:
    here = floor(path)
    found = []
    for line, name in imports(path):
        parts = name.split(".")
        where = f"{path.relative_to(ROOT)}:{line}"
        if parts[0] == "varfx" and here != "__init__":
            there = parts[1] if len(parts) > 1 else ""
            if there not in FLOOR_OF:
                found.append(f"{where} imports {name}: not a floor of the layout")
            elif FLOOR_OF[there] > FLOOR_OF[here] or (
                FLOOR_OF[there] == FLOOR_OF[here] and there != here and here != "progress"
            ):
                found.append(f"{where} ({here}) imports {name}, which stands below it")
        if parts[0] in ("lightning", "pytorch_lightning") and here != "training":
            found.append(f"{where} imports {name}: only training knows Lightning")
    return found


def test_every_file_belongs_to_a_floor() -> None:
    assert {floor(path) for path in MODULES} - {"__init__"} <= set(FLOOR_OF)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_upwards_only(path: Path) -> None:
    assert offences(path) == []


def test_the_rule_would_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "ld").mkdir()
    (tmp_path / "training").mkdir()
    module = tmp_path / "ld" / "x.py"
    module.write_text(
        "from varfx.io import sealed\nfrom varfx.ld import store\ndef f():\n    from varfx.prior import fit\n"
        "    import varfx.cli.app\n    import lightning\nfrom varfx import likelihood\nimport varfx.notebooks\n"
    )
    text = "\n".join(sorted(offences(module)))
    for expected in (
        "x.py:4 (ld) imports varfx.prior.fit",
        "x.py:5 (ld) imports varfx.cli.app",
        "x.py:6 imports lightning",
    ):
        assert expected in text
    assert "x.py:7 (ld) imports varfx.likelihood" in text
    assert "varfx.notebooks: not a floor" in text
    assert len(offences(module)) == 5
    allowed = tmp_path / "training" / "y.py"
    allowed.write_text("import lightning\nfrom varfx.models import prior\n")
    assert offences(allowed) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_below_the_command_line_prints(path: Path) -> None:
    if floor(path) == "cli":
        pytest.skip("the command line prints")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {ast.unparse(call) for call in calls}
    assert not names & {"print", "sys.stdout.write", "sys.stderr.write", "pprint"}
    assert not [name for _, name in imports(path) if name.split(".")[0] in ("rich", "cyclopts", "click", "tqdm")]


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after some code."""
    code += "\nimport sys\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


SLOW = {"torch", "lightning", "polars", "numpy", "scipy", "zarr", "pyarrow", "matplotlib", "cyclopts", "rich"}


def test_importing_varfx_loads_nothing_slow() -> None:
    assert not modules_after("import varfx; varfx.__version__; varfx.VarfxError; dir(varfx)") & SLOW


def test_the_command_line_starts_without_torch() -> None:
    assert not modules_after("from varfx.cli.app import build_app; build_app()") & {"torch", "lightning", "matplotlib"}


def test_importing_does_nothing_to_the_process() -> None:
    code = """
import logging, os, signal
def state():
    return logging.getLogger().handlers[:], signal.getsignal(signal.SIGINT), os.getcwd(), logging.getLogger().level
before = state()
import varfx
varfx.WhitenedWindow, varfx.gwas, varfx.ld, varfx.likelihood, varfx.linalg
assert state() == before, (state(), before)
"""
    modules_after(code)
