"""YAML of users: bombs, odd values and every place that reads it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from varfx.cli.app import run
from varfx.errors import ConfigError, FormatError, VarfxError
from varfx.gwas.study import read_sidecar
from varfx.io import yaml_text
from varfx.io.yaml_text import read_yaml
from varfx.prior.experiment.config import read_experiment
from varfx.prior.explain.channels import _read as read_groups
from varfx.tracks.manifest import read_manifest_yaml

NINE = ",".join(["{0}"] * 9)
LAUGH = (
    "[&a ["
    + ",".join("x" * 9)
    + "], "
    + ", ".join(f"&{b} [{NINE.format('*' + a)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]"
)
CASES = {
    "date": "2024-13-45",
    "bigint": "9" * 5000,
    "deep": "[" * 3000 + "]" * 3000,
    "deepmap": "{a: " * 2000 + "1" + "}" * 2000,
    "laugh": LAUGH,
    "recursive": "&x [*x]",
    "python": "!!python/object/apply:os.system ['touch pwned']",
    "binary": "!!binary 'not base64!'",
    "set": "!!set {a, b}",
    "merge": "{<<: 3}",
    "unhashable": "{[a]: 1}",
    "float": "1e99999",
    "nan": ".nan",
    "inf": ".inf",
    "timestamp": "!!timestamp nonsense",
    "empty int": "!!int ''",
    "no bool": "!!bool maybe",
    "no null": "!!null x",
    "omap": "!!omap [1]",
    "sexagesimal": "190:20:30",
    "octal": "010",
    "nul": '"\\0"',
    "escape": '"\\e[2J"',
    "long": "x" * 200_000,
    "huge": "x" * 2_000_000,
    "twice": "{a: 1, a: 2}",
    "unfinished": "[",
}


def _sidecar(path: Path) -> object:
    sidecar = path.with_name("g.tsv-meta.yaml")
    sidecar.write_bytes(path.read_bytes())
    return read_sidecar(path.with_name("g.tsv"))


READERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "manifest": (read_manifest_yaml, "tracks: {0}\n"),
    "manifest entry": (read_manifest_yaml, "tracks:\n- file: a.bed\n  name: {0}\n"),
    "manifest column": (read_manifest_yaml, "tracks:\n- file: a.bed\n  name: x\n  column: {0}\n"),
    "experiment": (
        read_experiment,
        "kind: fig3\ntitle: {0}\npanel: {{path: p}}\ntruth: {{}}\nmodels: [{{name: a, kind: mlp}}]\n",
    ),
    "experiment panel": (read_experiment, "kind: fig3\ntitle: x\npanel: {{path: {0}}}\n"),
    "experiment number": (read_experiment, "kind: fig3\ntitle: x\npanel: {{path: p, maf: {0}}}\n"),
    "groups": (read_groups, "a: {0}\n"),
    "groups list": (read_groups, "a: [{0}]\n"),
    "sidecar": (_sidecar, "samples: {0}\n"),
    "sidecar n": (_sidecar, "samples: [{{sample_size: {0}}}]\ntrait_description: {0}\n"),
    "sidecar build": (_sidecar, "genome_assembly: {0}\n"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", CASES)
def test_any_value_is_read_or_refused_in_a_short_line(tmp_path: Path, reader: str, case: str) -> None:
    read, text = READERS[reader]
    path = tmp_path / "x.yaml"
    path.write_text(text.format(CASES[case]))
    (tmp_path / "a.bed").write_text("chr1\t1\t2\n")
    with contextlib.suppress(VarfxError):
        read(path)


@pytest.mark.parametrize("case", CASES)
def test_config_of_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"panel: P.ld.zarr\nsumstats: S.parquet\nout: {tmp_path}/RUN\nseed: {CASES[case]}\n")
    assert run(["prior", "fit", "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert len(error) < 3_000


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (f"a: {CASES['laugh']}\n", "is no YAML: with its aliases written out, it has more than 100,000 values"),
        ("a: &x [*x]\n", "the alias of line 1 holds itself"),
        (f"a: {CASES['deep']}\n", "nested more than 50 levels deep"),
        ("a: 1\nb: 2\na: 3\n", "the key 'a' stands twice, again in line 3"),
        ("a: 1\n'a': 3\n", "the key 'a' stands twice"),
        (f"a: {CASES['huge']}\n", "has more than 256 KiB"),
        (f"a: {CASES['bigint']}\n", "is no YAML: Exceeds the limit"),
        (f"a: {CASES['python']}\n", "is no YAML: could not determine a constructor"),
        ("a: \xff", "is no YAML: 'utf-8' codec can't decode"),
    ],
)
def test_refusals(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=match):
        read_yaml(path)
    with pytest.raises(FormatError, match=match):
        read_yaml(path, error=FormatError)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)


def test_values_are_what_they_look_like(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "\ufeffdefaults: &d {a: 1, b: 2}\nmerged: {<<: *d, b: 3}\nday: 2024-01-31\ntime: 190:20:30\nchrom: 010\nfloat: 1.5\n"
        "tiny: 1.0e-3\nint: -12\nyes: true\nno: off\nnone: null\nhex: 0x1f\nbig: 1_000\nend: .5\nsmall: 1e-3\n"
    )
    assert read_yaml(path) == {
        "defaults": {"a": 1, "b": 2}, "merged": {"a": 1, "b": 3}, "day": "2024-01-31", "time": "190:20:30", "chrom": "010",
        "float": 1.5, "tiny": 1e-3, "int": -12, True: True, False: False, "none": None, "hex": 31, "big": 1000, "end": 0.5,
        "small": "1e-3",
    }  # fmt: skip


def test_plain_files_are_as_pyyaml_reads_them(tmp_path: Path) -> None:
    text = "a: [1, 2.5, x, 'y', null, true, {b: -3, c: [~, .inf, +.INF, -1.0E+3, 0]}]\nz: |\n  text\n  more\n"
    (tmp_path / "x.yaml").write_text(text)
    assert read_yaml(tmp_path / "x.yaml") == yaml.safe_load(text)
    assert yaml_text._Loader.yaml_implicit_resolvers is not yaml.SafeLoader.yaml_implicit_resolvers
