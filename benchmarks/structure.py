"""Measures the source: lines per room, sizes of modules and functions, parameters, import times.

Goals: function p90 at most 40 lines, no module over 400 lines, no function with more than 10 parameters outside `cli`,
`varfx --help` under 0.5 processor seconds.

    python benchmarks/structure.py --out benchmarks/output/structure.json [--source OTHER/src/varfx]
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import resource
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _measure import machine

ROOT = Path(__file__).parents[1]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
IMPORTS = (
    "import varfx",
    "import varfx.ld",
    "import varfx.likelihood",
    "import varfx.prior",
    "import varfx.expression",
)
HELP = ((), ("prior", "fit"), ("prior", "evaluate"), ("ld", "build"), ("sumstats", "clean"), ("expr", "fit"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=ROOT / "src" / "varfx")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    modules = sorted(arguments.source.rglob("*.py"))
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in modules}
    result = {
        "machine": machine(),
        "rooms": rooms(trees, arguments.source),
        "modules": sizes([len(path.read_text(encoding="utf-8").splitlines()) for path in modules]),
        "modules_over_400": sum(len(path.read_text(encoding="utf-8").splitlines()) > 400 for path in modules),
        "functions": sizes([lines_of(node) for tree in trees.values() for node in functions(tree)]),
        "functions_of_more_than_10_parameters": wide(trees, arguments.source),
        "seconds": seconds(arguments.source.parent),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods of a module, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS))


def docstring_lines(node: ast.AST) -> int:
    """Number of lines of a definition's own docstring."""
    body = getattr(node, "body", [])
    if not (isinstance(body, list) and body and isinstance(body[0], ast.Expr)):
        return 0
    value = body[0].value
    if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
        return 0
    return (body[0].end_lineno or body[0].lineno) - body[0].lineno + 1


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Number of lines of a function without its docstring."""
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring_lines(function)


def rooms(trees: dict[Path, ast.Module], source: Path) -> dict[str, dict[str, int]]:
    """Number of modules, lines, and lines without docstrings and blank lines, per room."""
    counts: dict[str, Counter[str]] = {}
    for path, tree in trees.items():
        room = counts.setdefault(path.relative_to(source).parts[0].removesuffix(".py"), Counter())
        lines = path.read_text(encoding="utf-8").splitlines()
        documented = sum(
            docstring_lines(node) for node in ast.walk(tree) if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Module))
        )
        room["modules"] += 1
        room["lines"] += len(lines)
        room["code"] += sum(bool(line.strip()) for line in lines) - documented
    total: Counter[str] = sum(counts.values(), Counter())
    return {**{name: dict(count) for name, count in sorted(counts.items())}, "total": dict(total)}


def sizes(values: list[int]) -> dict[str, float]:
    """Count, median, 90th percentile and maximum."""
    return {
        "count": len(values),
        "median": statistics.median(values),
        "p90": statistics.quantiles(values, n=10)[-1],
        "max": max(values),
    }


def wide(trees: dict[Path, ast.Module], source: Path) -> list[str]:
    """Functions outside `cli` with more than 10 parameters."""
    found = []
    for path, tree in trees.items():
        name = path.relative_to(source)
        for node in functions(tree):
            arguments = node.args
            count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
            if count > 10 and name.parts[0] != "cli":
                found.append(f"{name}:{node.name} ({count})")
    return found


def seconds(path: Path) -> dict[str, float]:
    """Processor seconds of imports and of `--help`, the least of three runs each."""
    calls = {code: code for code in IMPORTS}
    for words in HELP:
        argv = [*words, "--help"]
        calls["varfx " + " ".join(argv)] = f"import sys, varfx.cli; sys.argv = ['varfx']; varfx.cli.main({argv!r})"
    return {name: min(_processor_seconds(code, path) for _ in range(3)) for name, code in calls.items()}


def _processor_seconds(code: str, path: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2)


if __name__ == "__main__":
    main()
