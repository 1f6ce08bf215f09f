"""Writes `README.md` beside this file: every published case, what was seen before, and the tests that hold it now, as they ran.

    python tests/golden/cases/table.py --cases FOLDER

FOLDER holds `gwas`, `expression` and `reliability`, with a `case.md` per case, which says what was seen. A test belongs to a case if it, or a
constant of its module that it uses, names the case's folder, or if its name begins with the case's number; of cases that are
generated, not copied, the tests are named below. The tests are run, and the table says how many passed.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[1]
GENERATED = {  # case -> file and beginning of the names of its tests
    "16_maf_as_eaf": ("prior/test_frequencies_end_to_end.py", "test_"),
    "18_empty_validation": ("prior/test_split.py", "test_"),
    "51_ld_references": ("genotypes/test_published_ld_references.py", "test_"),
    "_end_to_end": ("prior/test_frequencies_end_to_end.py", "test_"),
    "F06_track_over_chromosome_end": ("tracks/test_published_cases.py", "test_"),
    "F24_wiggle_given_as_bedgraph": ("tracks/test_published_cases.py", "test_"),
    "F13_checkpoint_prefixes": ("models/test_enformer_weights.py", "test_"),
    "bombs": ("io/test_stream.py", "test_"),
    "dask-scheduler-dies": ("io/test_workers.py", "test_"),
    "gene-id-path-traversal": ("io/test_file_names.py", "test_"),
    "gwas-vcf-header-hang": ("gwas/test_vcf_header.py", "test_"),
    "interrupted-runs": ("io/test_run_folder.py", "test_"),
    "ld-build-hangs-without-main-guard": ("io/test_workers.py", "test_"),
    "rich-markup": ("io/test_visible.py", "test_"),
    "terminal-escapes": ("io/test_visible.py", "test_"),
    "yaml": ("io/test_yaml_text.py", "test_"),
}

AFTER = {  # of cases whose case.md has no paragraph on what is right
    "_end_to_end": "correlation of the weights with the true effects as from the right file within 0.02, palindromes aside, or refused",
    "bigwig-abort": "refused in one line; the process goes on",
    "bombs": "refused in one line before memory is taken; below 2 GB and 20 s",
    "dask-scheduler-dies": "one line, exit status 2; the same command goes on",
    "fuzz-foreign": "refused in one line, or read as it is; no foreign exception",
    "gene-id-path-traversal": "a gene's id is one component of a path, whatever its letters; nothing is written outside --out",
    "gwas-vcf-header-hang": "read in linear time",
    "ld-build-hangs-without-main-guard": "a piece that ends its workers is told in one line; nothing hangs",
    "rich-markup": "shown letter by letter",
    "terminal-escapes": "shown as escapes, never obeyed",
    "yaml": "refused in one line of bearable length, at once",
}


def tests_of(case: str, modules: dict[Path, str]) -> list[str]:
    """Node ids of a case's tests, relative to the folder of tests."""
    if case in GENERATED:
        name, prefix = GENERATED[case]
        path = TESTS / name
        return [f"{name}::{each.name}" for each in _functions(modules[path]) if each.name.startswith(prefix)]
    number = re.match(r"(\d+)_", case)
    found = []
    for path, text in modules.items():
        if case not in text and not (number and path.name == "test_cases.py"):
            continue
        constants = re.findall(rf'^([A-Z][A-Z0-9_]*) = .*"{re.escape(case)}"', text, re.MULTILINE)
        for each in _functions(text):
            start = min([each.lineno, *(decorator.lineno for decorator in each.decorator_list)])
            body = "\n".join(text.splitlines()[start - 1 : each.end_lineno])
            named = case in body or any(re.search(rf"\b{name}\b", body) for name in constants)
            if named or (number and path.name == "test_cases.py" and each.name.startswith(f"test_{number[1]}_")):
                found.append(f"{path.relative_to(TESTS)}::{each.name}")
    return found


def _functions(text: str) -> list[ast.FunctionDef]:
    return [
        each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    ]


def before(path: Path) -> str:
    """What a case.md says was seen, in one line."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for word in ("- verdict:", "- class:"):
        said = [line.removeprefix(word).strip() for line in lines if line.startswith(word)]
        if said:
            title = f" ({lines[0].lstrip('# ')})" if word == "- class:" else ""
            return _shortened(said[0] + title)
    return _shortened(
        lines[0].lstrip("# ")
        if lines
        else "wrong weights, with exit code 0, from minor-allele frequencies and from exchanged alleles"
    )


def after(path: Path) -> str:
    """What a case.md says is right, in one line; the tests hold it."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for rule in (r"^\*\*Right:\*\*\s*(.+)$", r"^## Expected, and why\s+(.+?)(?:\n\n|\Z)", r"^Right:\s*(.+)$"):
        if said := re.search(rule, text, flags=re.MULTILINE | (re.DOTALL if "Expected" in rule else 0)):
            return _shortened(said[1])
    return AFTER[path.parent.name]


def _shortened(text: str, longest: int = 220) -> str:
    text = re.sub(r" ?\([^()]*(?:explore/|\.log)[^()]*\)", "", " ".join(text.replace("|", "/").split()))
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def run(nodes: list[str], report: Path) -> None:
    """Runs the tests and writes their JUnit report."""
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *[str(TESTS / node) for node in nodes]]
    subprocess.run(command, cwd=TESTS.parent, check=False, stdout=subprocess.DEVNULL)


def outcomes_of(report: Path) -> dict[str, Counter[str]]:
    """Outcomes by test, all parameters together, from a JUnit report."""
    outcomes: dict[str, Counter[str]] = {}
    for each in ElementTree.parse(report).iter("testcase"):
        module = str(each.get("classname")).removeprefix("tests.").replace(".", "/")
        name = str(each.get("name")).partition("[")[0]
        bad = [child.tag for child in each if child.tag in ("failure", "error", "skipped")]
        outcomes.setdefault(f"{module}.py::{name}", Counter())[bad[0] if bad else "passed"] += 1
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=HERE / "README.md")
    parser.add_argument(
        "--report", type=Path, help="JUnit report of a run of all tests, in place of running those of the cases"
    )
    options = parser.parse_args()
    modules = {path: path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("test_*.py"))}
    cases = [
        (kind, path)
        for kind in ("gwas", "expression", "reliability")
        for path in sorted((options.cases / kind).iterdir())
    ]
    tests = {path.name: tests_of(path.name, modules) for _, path in cases}
    with tempfile.TemporaryDirectory() as folder:
        report = options.report or Path(folder) / "report.xml"
        if options.report is None:
            run(sorted({node for nodes in tests.values() for node in nodes}), report)
        outcomes = outcomes_of(report)
    lines = [
        "# Published cases",
        "",
        "Made by `table.py`, which runs the tests. `before` is what was seen when the case was recorded, `after` what is right and what "
        "the tests demand, `passed` how they ran.",
        "",
    ]
    for kind in ("gwas", "expression", "reliability"):
        lines += [f"## {kind}", "", "| case | before | after | passed | tests |", "|---|---|---|---|---|"]
        for name in [path.name for each, path in cases if each == kind]:
            counts = sum((outcomes.get(node, Counter()) for node in tests[name]), Counter[str]())
            now = ", ".join(f"{number} {what}" for what, number in sorted(counts.items())) or (
                "not run" if tests[name] else "no test"
            )
            words = "; ".join(f"`{node}`" for node in tests[name][:4]) + (
                f" and {len(tests[name]) - 4} more" if len(tests[name]) > 4 else ""
            )
            case = options.cases / kind / name / "case.md"
            lines.append(f"| {name} | {before(case)} | {after(case)} | {now} | {words} |")
        lines.append("")
    options.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
