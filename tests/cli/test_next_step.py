"""The command that follows each command: it exists, parses, and names what was made."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cases.command_line import varfx
from cases.simulated_panel import Simulated
from varfx.cli.next_step import NEXT, next_step
from varfx.cli.tree import build_app


@pytest.mark.parametrize("commands", NEXT)
def test_the_next_command_parses(commands: tuple[str, ...]) -> None:
    line = next_step(commands, [*commands, "--out", "my file"], {})
    assert line is not None
    words = shlex.split(line)[1:]
    assert any("my file" in word for word in words)
    build_app().parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize(
    ("words", "config", "out"),
    [
        (["-o", "A"], {}, "A"),
        (["--out=A"], {"out": "B"}, "A"),
        ([], {"out": "B"}, "B"),
        ([], {}, None),
    ],
)
def test_the_output_is_found_wherever_it_is_named(words: list[str], config: dict[str, str], out: str | None) -> None:
    found = next_step(("prior", "fit"), ["prior", "fit", *words], config)
    assert found == (None if out is None else f"varfx prior evaluate {out}")


def test_a_command_without_a_successor_says_nothing() -> None:
    assert next_step(("info",), ["info", "X", "--out", "Y"], {}) is None


def test_it_is_said_after_success_only(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("prior", "simulate", "--panel", simulated.panel, "--out", tmp_path / "SIM")
    done = varfx(capsys, *words)
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith(
        f"next: varfx prior fit --panel {simulated.panel} --sumstats {tmp_path / 'SIM'}/"
    )
    assert "next:" not in varfx(capsys, *words, "--h2", 2).out
    assert "next:" not in varfx(capsys, "prior", "simulate", "--help").out
