"""Text of strangers on the terminal and in pictures: every letter shows, none is obeyed."""

from __future__ import annotations

import ast
import io
import logging
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from rich.table import Table

import varfx.cli
from varfx.cli.app import run
from varfx.cli.console import PlainConsole
from varfx.cli.log_lines import PlainHandler
from varfx.io.visible import one_line, shown, visible
from varfx.report.style import panels, save, styled

EVIL = "rs1\x1b]0;PWNED\x07\x1b[2J\x1b[31mwell\x1b[0m\u202eabc [red]x[/] [/] :smile: \udcff"
HARMLESS = r"rs1\x1b]0;PWNED\x07\x1b[2J\x1b[31mwell\x1b[0m\u202eabc [red]x[/] [/] :smile: \udcff"


def test_control_characters_are_spelled_out() -> None:
    assert visible(EVIL) == HARMLESS
    assert visible("Müller\tβ-thalassaemia 身長\n") == "Müller\tβ-thalassaemia 身長\n"
    assert visible("a\rb\x9b2J") == r"a\rb\x9b2J"


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_unseen_is_left(text: str) -> None:
    assert all(letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs") for letter in visible(text))
    assert visible(visible(text)) == visible(text)


def test_values_in_messages_are_short() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    laugh: object = "x"
    for _ in range(40):
        laugh = [laugh] * 9
    for value in (deep, laugh, "x" * 10**6, 10**5000, {str(k): k for k in range(10**4)}):
        assert len(shown(value)) < 2000
    assert shown([1, "a"]) == "[1, 'a']"
    assert len(one_line("y " * 10**6)) < 2100
    assert one_line("a\n  b") == "a b"


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_from_a_name_reaches_the_terminal(terminal: bool) -> None:
    out = io.StringIO()
    console = PlainConsole(file=out, force_terminal=terminal, width=300, color_system="standard" if terminal else None)
    console.print(f"error: {EVIL}", style="bold red" if terminal else "", soft_wrap=True)
    table = Table("name", EVIL, title=EVIL, caption=EVIL)
    table.add_row(EVIL, EVIL)
    console.print(table)
    logger = logging.Logger("x")
    logger.addHandler(PlainHandler(console))
    logger.warning("a name: %s", EVIL)
    got = out.getvalue()
    assert " ".join(got.split()).count(HARMLESS) == 7  # a title may be wrapped
    for obeyed in ("\x07", "\x1b]", "\x1b[2J", "\u202e", "\udcff", "😄"):
        assert obeyed not in got
    assert terminal or "\x1b" not in got


def test_the_borders_of_a_table_with_evil_names_are_straight() -> None:
    out = io.StringIO()
    table = Table("name", "n")
    table.add_row("a\x1b[2Jb", "1")
    table.add_row("plain", "2")
    PlainConsole(file=out, width=100).print(table)
    assert len({len(line) for line in out.getvalue().splitlines()}) == 1


def test_error_with_a_name_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "no\x1b]0;x\x07[red]such[/]"]) == 2
    assert capsys.readouterr().err == "error: `no\\x1b]0;x\\x07[red]such[/]` does not exist.\n"


def test_names_in_pictures(tmp_path: object) -> None:
    evil = "trait $x_{$ \x1b[2J $\\frac{1}$"
    with styled():
        figure, (above, below) = panels(4, 4, rows=2)
        above.plot([1, 2], [1, 2], label=evil)
        above.set(title=evil, ylabel=evil)
        above.legend()
        below.set_yticks([1, 2], [evil, evil])
        below.set_xticks([1, 2], ["$a$", evil])
    save(figure, f"{tmp_path}/a.png")
    texts = {text.get_text() for text in figure.findobj(Text)}
    assert "trait $x_{$ \\x1b[2J $\\frac{1}$" in texts
    assert "$a$" in texts
    assert not any("\x1b" in text for text in texts)


def test_logarithmic_axes_show_plain_numbers(tmp_path: object) -> None:
    with styled():
        figure, (axes,) = panels(4, 4)
        axes.plot([1, 2], [0.001, 100])
        axes.set(yscale="log")
    save(figure, f"{tmp_path}/a.png")
    assert isinstance(figure, Figure)
    assert {"0.01", "1", "100"} <= {label.get_text() for label in axes.get_yticklabels()}


def test_no_command_has_another_way_to_the_terminal() -> None:
    folder = Path(varfx.cli.__file__).parent
    for path in folder.glob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {ast.unparse(call) for call in calls}
        assert not names & {"print", "sys.stdout.write", "sys.stderr.write", "RichHandler"}, path
        assert path.name == "console.py" or "Console" not in names, path
