"""The documents are true: their Python runs, their commands parse, the README's workflow runs, and figures are measured ones."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from varfx._version import __version__
from varfx.cli.app import run
from varfx.cli.tree import build_app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [  # of `prior fit`; tests/prior/test_experiment.py reads the experiments
    path for path in sorted((ROOT / "examples").glob("*.yaml")) if "kind" not in yaml.safe_load(path.read_text())
]
RUN_ELSEWHERE = {
    "linalg.md",
    "annotations.md",
    "ldsc.md",
    "report.md",
    "tracks.md",
}  # their Python needs files, or is a test of its own


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def command_lines(page: Path) -> list[str]:
    """Every `varfx` command in an sh block, an indented line or a comment; lines with a synopsis' brackets are none."""
    text = page.read_text().replace("\\\n", " ")
    found = re.findall(r"^(?: {4}|# +)(varfx .*)$", text, flags=re.MULTILINE)
    found += [line for block in blocks(page, "sh") for line in block.splitlines() if line.startswith("varfx ")]
    return [line for line in found if "[" not in line and "COMMAND" not in line]


ALL_COMMANDS = [
    pytest.param(line, id=f"{page.name}: {line}") for page in [*PAGES, *EXAMPLES] for line in command_lines(page)
]


@pytest.mark.parametrize("line", ALL_COMMANDS)
def test_every_command_in_the_documents_parses(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    if words[0].startswith("--"):
        assert words == ["--version"]
        return
    config = words.index("--config") if "--config" in words else None
    if config is not None:  # its required options stand in the file, which is parsed below
        assert (ROOT / words[config + 1]).is_file()
        return
    build_app().parse_args(words, exit_on_error=False, print_error=False)


def test_the_documents_have_commands() -> None:
    assert len(ALL_COMMANDS) > 20


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_configuration_parses(path: Path) -> None:
    words = ["prior", "fit"]
    for key, value in yaml.safe_load(path.read_text()).items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{key.replace('_', '-')}", ",".join(map(str, values))]
    build_app().parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in RUN_ELSEWHERE], ids=lambda page: page.name)
def test_python_in_the_documents_runs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), {})
        assert "nan" not in capsys.readouterr().out


def test_the_commands_of_the_readme_run(
    small_study: Callable[..., tuple[Path, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    small_study(tmp_path, chroms=("18", "19", "20", "21", "22"), windows=3)
    (tmp_path / "peaks.bed").write_text("".join(f"chr{chrom}\t20000000\t21500000\n" for chrom in range(18, 23)))
    workflow, products, *_ = (  # the later ones, on tracks and on expression, are run by the tests of their commands
        block for block in blocks(ROOT / "README.md", "sh") if "demo" not in block and "pip" not in block
    )
    lines = [*workflow.splitlines(), *products.splitlines()]
    assert len(lines) == 13
    for line in lines:
        words = shlex.split(line)[1:]
        words += ["--max-steps", "20"] if words[:2] == ["prior", "fit"] else []
        words += ["--workers", "1"] if words[:2] == ["ld", "build"] else []
        assert run(words) == 0, f"{line}\n{capsys.readouterr().err}"
    (gain,) = json.loads((tmp_path / "height-gain.json").read_text())["traits"]
    assert gain["n_windows"] == 9
    variants = pl.read_csv(tmp_path / "height.snpvar.gz", separator="\t")
    assert variants.columns == ["CHR", "SNP", "BP", "A1", "A2", "SNPVAR", "SIGMA2"]
    assert (variants["SNPVAR"] > 0).all()


def gain_row(name: str, model: dict[str, object]) -> str:
    def cell(value: str, bounds: str) -> str:
        if value not in model:
            return ""
        low, high = model[bounds]  # type: ignore[misc]
        return f"{model[value]:+.1f} ({low:+.1f} to {high:+.1f})".replace("-", "−")

    return f"| {name} | {cell('gain', 'gain_ci95')} | {cell('difference', 'difference_ci95')} |"


def test_quoted_gains_are_those_measured() -> None:
    models = json.loads((ROOT / "benchmarks" / "results" / "prior_demo.json").read_text())["models"]
    text = (ROOT / "README.md").read_text()
    for name, model in models.items():
        assert gain_row(name, model) in text


def test_quoted_times_are_those_measured() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "prior_demo.json").read_text())
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    for row in (
        f"| `ld build` | {measured['ld_build']['seconds']:.0f} s | {measured['ld_build']['peak_bytes'] / 1e9:.1f} GB |",
        f"| three fits | {measured['fits']['seconds']:.0f} s | |",
        f"| `varfx demo prior` | {measured['demo']['seconds']:.0f} s | {measured['demo']['peak_bytes'] / 1e9:.1f} GB |",
    ):
        assert row in text


def test_quoted_scores_of_the_demo_of_expression_are_those_measured() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "expr_demo.json").read_text())
    text = (ROOT / "docs" / "expression.md").read_text()
    for way in ("real", "simulated"):
        for record in measured[way]["side_by_side"]:
            values = [*record["r2_by_gene"].values(), record["r2"], record["pcc"]]
            cells = " | ".join(f"{value:.2f}" for value in values).replace("-", "−")
            assert f"| {record['model']} | {cells} |" in text
    assert f"{measured['real']['demo']['seconds']:.0f} s and {measured['simulated']['demo']['seconds']:.0f} s" in text


def test_quoted_size_of_a_report_is_that_measured() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "report.json").read_text())
    text = (ROOT / "docs" / "report.md").read_text()
    sizes = [f"{measured[kind]['bytes'] / 1e6:.1f} MB" for kind in ("page", "static")]
    assert f"| size | {sizes[0]} | {sizes[1]} |" in text
    assert f"text and tables | {measured['browser']['load_seconds']:.1f} s |" in text
    assert measured["browser"]["requests"] == 1  # the file itself


def test_the_tour_of_the_source_names_files_and_rooms_that_exist() -> None:
    text = (ROOT / "docs" / "code.md").read_text()
    for path in re.findall(r"`((?:src|tests)/[^`]+)`", text):
        assert (ROOT / path).exists(), path
    rooms = {path.parent.name for path in (ROOT / "src" / "varfx").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) == rooms


def test_troubleshooting_quotes_messages_that_exist() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / "troubleshooting.md").read_text(), flags=re.MULTILINE)
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    quoted = [fragment for heading in headings for fragment in re.findall(r'"([^"]+)"', heading)]
    assert len(quoted) > 8
    assert [fragment for fragment in quoted if fragment.lower() not in source.lower()] == []


def test_every_page_is_in_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f": {page}\n" not in navigation] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_citation_and_changelog_fit_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert citation["license"] == "Apache-2.0"
    assert {"title", "message", "authors"} <= citation.keys()
    assert (ROOT / "CHANGELOG.md").read_text().startswith("# Changes\n")


def test_pictures_in_the_repository_are_small() -> None:
    for picture in (ROOT / "docs" / "images").glob("*.png"):
        assert picture.stat().st_size < 150_000


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_no_page_holds_the_marks_of_an_unfinished_merge(page: Path) -> None:
    marks = [line for line in page.read_text().splitlines() if line.startswith(("<<<<<<<", ">>>>>>>"))]
    assert not marks
