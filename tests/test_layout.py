"""The layout's rules, read from the source: who imports whom, who prints, and what `import varfx` loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cyclopts
import pytest

import varfx
from varfx.cli.tree import build_app

ROOT = Path(varfx.__file__).parent
# A folder imports only from floors above it in this list, and from its own.
FLOORS = (
    ("_version", "_lazy", "errors"),
    ("progress", "bootstrap", "device", "memory", "short_repr"),
    ("io",),
    ("genome", "linalg"),
    ("gwas", "genotypes", "models"),
    ("annotations", "ld"),
    ("tracks", "likelihood", "report", "qc"),
    ("training",),
    ("prior",),
    ("finemap",),
    ("expression",),
    ("pages",),
    ("demos",),
    ("cli",),
    ("__main__",),
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
            elif FLOOR_OF[there] > FLOOR_OF[here] or (FLOOR_OF[there] == FLOOR_OF[here] and there != here):
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


SLOW = {"torch", "lightning", "polars", "numpy", "scipy", "zarr", "pyarrow", "matplotlib", "cyclopts", "rich"}

# What makes a help page slow: 0.02 processor seconds (yaml) to 4 (Lightning).
NOT_FOR_HELP = SLOW - {"cyclopts", "rich"} | {"jaxtyping", "sklearn", "distributed", "yaml", "threadpoolctl", "email"}
NOT_FOR_HELP |= {"rich.markdown", "rich.progress", "rich.logging", "importlib.metadata", "multiprocessing"}


def commands(app: cyclopts.App, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command of the tree, groups too."""
    yield words
    for name in app:
        if not name.startswith("-"):
            yield from commands(app[name], (*words, name))


def test_a_help_page_loads_its_command_alone() -> None:
    """Neither slow libraries nor other commands: the goal is half a processor second per page."""
    code = f"""
import contextlib, io, os, sys
from varfx.cli.app import run
from varfx.cli.tree import COMMANDS, GROUPS
functions = {{(name,): function for name, function in COMMANDS.items()}}
functions |= {{(group, name): function for group, (_, within) in GROUPS.items() for name, function in within.items()}}
of_commands = {{"varfx.cli." + function.partition(":")[0] for function in functions.values()}}
for words in {sorted(commands(build_app()))}:
    child = os.fork()
    if child == 0:
        with contextlib.redirect_stdout(io.StringIO()) as page:
            code = run([*words, "--help"])
        own = {{"varfx.cli." + functions[words].partition(":")[0]}} if words in functions else set()
        loaded = ({NOT_FOR_HELP} | of_commands - own) & set(sys.modules)
        right = code == 0 and page.getvalue().startswith("Usage: varfx") and not loaded
        print(*([] if right else [words, code, sorted(loaded)]), file=sys.stderr, flush=True)
        os._exit(not right)
    assert os.waitpid(child, 0)[1] == 0, words
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Rooms and modules of everything but training itself.
WITHOUT_LIGHTNING = (
    "prior", "prior.evaluate", "prior.fit", "prior.predict", "prior.weights", "prior.explain.explain", "prior.plan.plan",
    "prior.simulation.simulate", "expression.evaluate", "expression.linear.run", "expression.network.fit",
    "expression.variants.score", "training", "training.gwas.windows", "training.people.predict",
)  # fmt: skip
CONFIGURATIONS = (
    "models.config", "training.gwas.config", "training.people.config", "expression.network.config", "prior.config",
    "prior.explain.config", "prior.simulation.config",
)  # fmt: skip
# Steps of one interpreter, each with more imports than those before it: what it loads and what it leaves alone.
STEPS = {
    "importing varfx loads nothing slow": f"""
import logging, os, signal, sys
def state():
    return logging.getLogger().handlers[:], signal.getsignal(signal.SIGINT), os.getcwd(), logging.getLogger().level
before = state()
import varfx; varfx.__version__; varfx.VarfxError; dir(varfx)
assert not {SLOW} & set(sys.modules)
""",
    "configurations need no torch": "\n".join(f"import varfx.{name}" for name in CONFIGURATIONS)
    + f"""
from varfx.models import ModelConfig; ModelConfig()
assert not {SLOW} & set(sys.modules)
""",
    "a room keeps its function of a submodule's name": """
from varfx.prior.fit import fit as _
import varfx.prior, varfx.gwas.clean
from varfx.prior import fit
assert callable(fit) and fit.__module__ == "varfx.prior.fit"
assert callable(varfx.gwas.clean)
assert set(varfx.prior.__all__) <= set(dir(varfx.prior))
try:
    varfx.prior.nothing
except AttributeError as error:
    assert str(error) == "module 'varfx.prior' has no attribute 'nothing'", error
else:
    raise SystemExit("no error")
""",
    "importing does nothing to the process": """
varfx.WhitenedWindow, varfx.gwas, varfx.ld, varfx.likelihood, varfx.linalg
assert state() == before, (state(), before)
""",
    "only training loads Lightning": "[getattr(varfx.prior, name) for name in varfx.prior.__all__]\n"
    + "\n".join(f"import varfx.{name}" for name in WITHOUT_LIGHTNING)
    + """
assert not {"lightning", "pytorch_lightning"} & set(sys.modules)
""",
}


@pytest.fixture(scope="module")
def last_step() -> str:
    """The step that failed, with its error: empty if none did. One process, as each would import torch anew."""
    code = "".join(f"step = {name!r}\nprint(step, flush=True)\n{lines}" for name, lines in STEPS.items())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return f"{done.stdout.splitlines()[-1]}: {done.stderr}" if done.returncode else ""


@pytest.mark.parametrize("step", STEPS)
def test_what_an_import_loads_and_does(last_step: str, step: str) -> None:
    names = list(STEPS)
    failed = names.index(last_step.split(": ")[0]) if last_step else len(names)
    assert names.index(step) < failed, last_step
