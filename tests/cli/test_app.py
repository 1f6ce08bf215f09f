"""The command tree: help, version, errors in one line, `--config`, `--verbose`, and a quick start."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import yaml

from cases.command_line import varfx
from cases.simulated_panel import Simulated
from varfx._version import __version__
from varfx.cli import main
from varfx.cli.app import run
from varfx.cli.command_line import spread_lists
from varfx.cli.help_page import broken, filled
from varfx.cli.tree import COMMANDS as COMMANDS_OF_THE_ROOT
from varfx.cli.tree import GROUPS, build_app
from varfx.errors import ConfigError

Capsys = pytest.CaptureFixture[str]

COMMANDS = [
    ("sumstats", "clean"),
    ("ld", "build"),
    ("annot", "build"),
    ("prior", "fit"),
    ("prior", "evaluate"),
    ("prior", "predict"),
    ("prior", "weights"),
    ("prior", "ldsc"),
    ("info",),
]


@pytest.mark.parametrize(
    "words", [["--help"], ["sumstats", "clean", "--help"], ["prior", "fit", "--help"], ["--version"]]
)
def test_help_starts_without_torch(words: list[str]) -> None:
    script = (
        "import sys; from varfx.cli.app import run; code = run(sys.argv[1:]); "
        "loaded = {'torch', 'lightning', 'zarr', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'loaded {loaded}' if loaded else code)"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("Usage: varfx" in done.stdout) == ("--help" in words)


@pytest.mark.parametrize("words", [(), ("prior",), ("prior", "fit"), ("info",)])
def test_version(capsys: Capsys, words: tuple[str, ...]) -> None:
    result = varfx(capsys, *words, "--version")
    assert (result.code, result.out.strip()) == (0, __version__)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(capsys: Capsys, command: tuple[str, ...]) -> None:
    result = varfx(capsys, *command, "--help")
    assert result.code == 0
    text = " ".join(result.out.replace("│", " ").split())
    assert f"Usage: varfx {' '.join(command)}" in text
    assert len(text) > 200
    app = build_app()
    for name in command:
        app = app[name]
    arguments = app.assemble_argument_collection(parse_docstring=True)
    for argument in arguments:
        if argument.parameter.show is not False and argument.parameter.parse and not argument.children:
            assert argument.parameter.help, f"{argument.name} has no help"
            if argument.name.startswith("--"):
                assert argument.name in text, argument.name


@pytest.mark.parametrize("command", [words for words in COMMANDS if words not in {("info",)}])
def test_help_shows_an_example(capsys: Capsys, command: tuple[str, ...]) -> None:
    result = varfx(capsys, *command, "--help")
    assert f"varfx {' '.join(command)} " in " ".join(result.out.replace("Usage: varfx", "").split())


def test_a_list_of_commands_says_what_each_does(capsys: Capsys) -> None:
    """Read from the source of commands that are not loaded; equal to what they say themselves."""
    for words, commands in [((), COMMANDS_OF_THE_ROOT), *(((name,), within) for name, (_, within) in GROUPS.items())]:
        text = " ".join(varfx(capsys, *words, "--help").out.replace("│", " ").split())
        for name in commands:
            app = build_app()
            for word in (*words, name):
                app = app[word]
            (first, *_) = str(app.help).splitlines()
            assert f" {name} {first} " in text


@pytest.mark.parametrize("command", [(), *COMMANDS])
def test_a_command_broken_on_a_help_page_can_be_copied(capsys: Capsys, command: tuple[str, ...]) -> None:
    """A line of an example that goes on ends in a backslash, and the whole is one command."""
    lines = varfx(capsys, *command, "--help").out.split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith("    varfx ")]
    for start in starts:
        assert len(lines[start]) <= 80
        while lines[start].endswith(" \\"):
            start += 1
            assert lines[start].startswith("        ")
        assert not lines[start + 1].strip() or lines[start + 1].startswith("    varfx "), lines[start + 1]


def test_a_broken_command_keeps_values_beside_options() -> None:
    command = "    varfx prior fit --panel P.ld.zarr --sumstats S.parquet T.parquet --annot A.annot.parquet --out RUN"
    shown = broken(f"Text.\n\n{command}\n", 50)
    assert " ".join(shown.replace("\\\n", " ").split()) == f"Text. {' '.join(command.split())}"
    assert all(not re.search(r"--\S+ \\$", line) for line in shown.split("\n"))


def test_paragraphs_fill_the_screen_and_examples_stay(capsys: Capsys) -> None:
    assert filled("One.\n\ntwo\nthree\n\n    four\n    five\nsix\n") == "One.\n\ntwo three\n\n    four\n    five\nsix\n"
    page = varfx(capsys, "prior", "fit", "--help").out
    assert "\n    varfx prior fit --panel P.ld.zarr --sumstats S.parquet" in page
    assert "default)," in " ".join(varfx(capsys, "prior", "evaluate", "--help").out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["prior", "fit", "x", "--nope", "-h"], "Usage: varfx prior fit --out"),
        (["--help", "prior"], "Usage: varfx prior COMMAND"),
        (["--help", "--version"], "Usage: varfx COMMAND"),
    ],
)
def test_help_wins_over_other_words(capsys: Capsys, words: list[str], usage: str) -> None:
    assert varfx(capsys, *words).out.startswith(usage)


def test_without_a_command_the_help_is_shown(capsys: Capsys) -> None:
    result = varfx(capsys)
    assert result.code == 0
    for name in ("sumstats", "ld", "annot", "prior", "demo", "info"):
        assert f" {name} " in result.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope"], 'Unknown command "nope"'),
        (["prior", "nope"], 'Unknown command "nope"'),
        (
            ["prior", "fit"],
            "`varfx prior fit` needs --out: The run's folder; --panel: LD panel (`varfx ld build`)",
        ),
        (["prior", "fit", "--panel=P", "-o", "RUN"], "`varfx prior fit` needs --sumstats: Cleaned summary statistics"),
        (
            ["prior", "predict", "RUN", "--out", "P", "--cross-fit", "2.5"],
            "`--cross-fit` must be a whole number, got 2.5.",
        ),
        (["prior", "weights", "RUN", "--out", "W", "--sweeps=50.7"], "`--sweeps` must be a whole number, got 50.7."),
        (["prior", "predict", "RUN", "--out", "/"], "`/` cannot be written: there is a folder of that name."),
        (["expr", "variants", "RUN", "BASE", "--out", "V"], "takes only RUN without a flag: what is `BASE`?"),
        (["expr", "variants", "RUN", "--out", "V.tsv"], "`V.tsv` would be Parquet, not text: name it .parquet."),
        (["expr", "variants", "RUN", "--out", "V", "--long", "V"], "`--out V` is --long too, which would be replaced."),
        (["expr", "variants", "RUN", "--out", "V", "--top", "0"], "`top` must be at least 1, got 0."),
        (["expr", "evaluate", "RUN", "--home", "C"], "`--home` belongs to --cohort OTHER."),
        (["expr", "evaluate", "RUN", "--tsv", "T.parquet"], "`T.parquet` would be text in columns, not Parquet"),
        (["prior", "rg", "RUN"], "`varfx prior rg` needs RUN2: Another one, on the same panel."),
        (["prior", "rg", "--json", "J", "RUN"], "`varfx prior rg` needs RUN2: Another one, on the same panel."),
        (["prior", "weights", "--out", "W"], "`varfx prior weights` needs RUN: A run of `varfx prior fit`."),
        (["ld", "build"], "`varfx ld build` needs SOURCES: PLINK .bed or .pgen files"),
        (["prior", "fit", "--panl", "x"], "Did you mean --panel instead of --panl?"),
        (["prior", "predict", "RUN", "--out", "x.tsv", "--nope", "1"], "--nope"),
        (["prior", "evaluate", "a", "b"], "takes only RUN without a flag: what is `b`?"),
        (
            ["prior", "fit", "--panel", "x", "--sumstats", "y", "--out", "z", "--model", "tree"],
            'Invalid value "tree" for --model',
        ),
        (["prior", "fit", "--panel", "x", "--sumstats", "y", "--out", "z", "--hidden", "8,b"], "--hidden"),
        (["prior", "fit", "--panel", "x", "--sumstats", "y", "--out", "z", "--max-steps", "many"], "--max-steps"),
        (
            ["prior", "fit", "--panel", "x", "--sumstats", "y", "--out", "z", "--max-steps", "0"],
            "`max-steps` must be at least 1",
        ),
        (["info", "/nonexistent"], "`/nonexistent` does not exist"),
        (["prior", "evaluate"], "give either a RUN or --snpvar FILE"),
        (["--config"], "`--config` needs a file"),
        (
            ["prior", "fit", "--config", "/nonexistent.yaml"],
            "`--config /nonexistent.yaml` cannot be read: No such file",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(capsys: Capsys, words: list[str], message: str) -> None:
    result = varfx(capsys, *words)
    assert message in result.error
    assert result.out == ""


def test_errors_with_markup_and_line_breaks_stay_one_literal_line(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(words: object) -> None:
        raise ConfigError("a [bold]name[/bold]\n  in two lines " + "and long " * 40)

    monkeypatch.setattr("varfx.cli.app.global_options", fail)
    assert varfx(capsys, "info", "x").error.startswith("a [bold]name[/bold] in two lines and long")


def test_an_interrupt_before_the_words_are_known_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("varfx.cli.app.build_app", interrupted)
    with pytest.raises(SystemExit) as end:
        main(["info", "x"])
    assert end.value.code == 130


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt, 130), (BrokenPipeError, 0)])
def test_interrupt_and_closed_pipe(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], code: int
) -> None:
    def stop(words: object) -> None:
        raise raised

    monkeypatch.setattr("varfx.cli.app.global_options", stop)
    assert run(["info", "x"]) == code
    assert ("interrupted" in capsys.readouterr().err) == (code == 130)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("prior fit --panel P", "interrupted; `varfx prior fit` continues with the same command and --resume"),
        ("expr baseline COHORT", "interrupted; `varfx expr baseline` continues with the same command and --resume"),
        ("ld build R.bed", "interrupted; `varfx ld build` continues when the same command is given again"),
        ("tracks build", "interrupted; `varfx tracks build` continues when the same command is given again"),
        ("prior evaluate RUN", "interrupted; nothing was written"),
        ("", "interrupted; nothing was written"),
    ],
)
def test_an_interrupted_command_says_how_it_continues(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("varfx.cli.app._log_to_stderr", stop)
    result = varfx(capsys, *words.split())
    assert (result.code, result.err.strip()) == (130, message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(13, "Permission denied", "/data/x"),
            "`/data/x`: Permission denied. Mend this and give the same",
        ),
        (OSError(28, "No space left on device"), "the disk is full. Mend this and give the same command again"),
    ],
)
def test_errors_of_the_system_are_one_line(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    def fail(words: object) -> None:
        raise error

    monkeypatch.setattr("varfx.cli.app.global_options", fail)
    assert varfx(capsys, "info", "x").error.startswith(message)


def test_sigterm_ends_with_143_and_one_line(tmp_path: Path) -> None:
    """Temporary files are removed on the way."""
    script = """
import os, signal, sys
from pathlib import Path
import varfx.cli.app as app
from varfx.io import sealed
def stop(words):
    with sealed.atomic_path(sys.argv[1]) as partial:
        partial.write_text("half")
        os.kill(os.getpid(), signal.SIGTERM)
app.global_options = stop
sys.exit(app.run(["prior", "fit", "--panel", "P"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "OUT")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 143
    assert done.stderr == "terminated; `varfx prior fit` continues with the same command and --resume\n"
    assert list(tmp_path.iterdir()) == []


def test_interrupted_while_libraries_load() -> None:
    script = (
        "import builtins, sys\nimported = builtins.__import__\ndef stop(name, *more):\n"
        "    if name == 'varfx.cli.app': raise KeyboardInterrupt\n    return imported(name, *more)\n"
        "builtins.__import__ = stop\nfrom varfx.cli import main\nmain(['info', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize(
    ("given", "spread"),
    [
        ("annot build --bed a b c --panel P", "annot build --bed a --bed b --bed c --panel P"),
        (
            "prior fit --hidden 8 8 --holdout-chrom 1-3 5 --out R",
            "prior fit --hidden 8 --hidden 8 --holdout-chrom 1-3 --holdout-chrom 5 --out R",
        ),
        ("prior evaluate --chrom 20 RUN", "prior evaluate --chrom 20 RUN"),
        ("prior evaluate RUN --chrom 20 21", "prior evaluate RUN --chrom 20 --chrom 21"),
        ("prior fit --bad 1 2", "prior fit --bad 1 2"),
        ("prior fit --max-steps 3 4", "prior fit --max-steps 3 4"),
        ("prior fit --resume RUN", "prior fit --resume RUN"),
        ("prior fit --hidden", "prior fit --hidden"),
        ("annot build --bed a -- b", "annot build --bed a -- b"),
    ],
)
def test_several_values_after_one_flag(given: str, spread: str) -> None:
    assert spread_lists(build_app(), given.split()) == spread.split()


def test_completion_is_installed(capsys: Capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    result = varfx(capsys, "--install-completion", "--shell", "bash")
    assert result.code == 0, result.err
    (script,) = (tmp_path / ".local/share/bash-completion/completions").iterdir()
    text = script.read_text()
    for word in ("--holdout-chrom", "--rank-variance", "evaluate"):
        assert word in text
    subprocess.run(["bash", "-n", script], check=True)  # the shell can read it


def test_the_package_is_typed() -> None:
    assert (Path(sys.modules["varfx"].__file__ or "").parent / "py.typed").is_file()


def test_a_bug_is_not_hidden(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(words: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("varfx.cli.app.global_options", crash)
    with pytest.raises(RuntimeError, match="a bug"):
        run(["info", "x"])


def options(simulated: Simulated, out: Path, **more: object) -> dict[str, object]:
    return {
        "panel": str(simulated.panel),
        "sumstats": [str(simulated.height), str(simulated.weight)],
        "annot": str(simulated.annot),
        "model": "mlp",
        "hidden": [4],
        "holdout_chrom": [3],
        "max_steps": 10,
        "out": str(out),
        **more,
    }


def as_words(values: dict[str, object]) -> list[str]:
    words = []
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            words += ["--" + name.replace("_", "-"), str(each)]
    return words


def test_config_gives_the_result_of_options(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    written = tmp_path / "run.yaml"
    written.write_text(yaml.safe_dump(options(simulated, tmp_path / "A")))
    assert varfx(capsys, "prior", "fit", "--config", written).code == 0
    assert varfx(capsys, "prior", "fit", *as_words(options(simulated, tmp_path / "B"))).code == 0
    dashed = {name.replace("_", "-"): value for name, value in options(simulated, tmp_path / "C").items()}
    written.write_text(yaml.safe_dump({**dashed, "holdout-chrom": "chr3"}))
    assert varfx(capsys, f"--config={written}", "prior", "fit").code == 0
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in "ABC"}
    assert weights["A"] == weights["B"] == weights["C"]


def test_typed_options_win_over_the_config(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    written = tmp_path / "run.yaml"
    written.write_text(yaml.safe_dump(options(simulated, tmp_path / "A", model="linear")))
    result = varfx(capsys, "prior", "fit", "--config", written, "--max-steps", 20, "--model", "constant")
    assert result.code == 0
    assert "constant, 20 steps" in result.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("holdot: 3\n", 'Unknown option: "[holdot]"'),
        ("max-steps: many\n", "[max-steps]"),
        ("panel:\n  path: x\n", "[panel][path]"),
        ("- panel\n", "must hold options as `key: value` lines"),
        ("3: x\n", "must hold options as `key: value` lines"),
        ("panel: [\n", "is no YAML"),
        ("panel: !!python/object:os.system x\n", "is no YAML"),
    ],
)
def test_wrong_configs_are_named(capsys: Capsys, simulated: Simulated, tmp_path: Path, text: str, message: str) -> None:
    written = tmp_path / "run.yaml"
    written.write_text(text)
    words = [
        word for word in simulated.fit_options() if "panel" not in text or word not in {"--panel", str(simulated.panel)}
    ]
    result = varfx(capsys, "prior", "fit", *words, "--out", tmp_path / "RUN", "--config", written)
    assert message in result.error
    assert "run.yaml" in result.error
    assert not (tmp_path / "RUN").exists()


def test_verbose_tells_more(
    capsys: Capsys, simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("varfx.cli.console.PLAIN_SECONDS", float("inf"))  # no lines of progress on a slow machine
    words = [*simulated.fit_options(), "--model", "constant", "--max-steps", 1]
    quiet = varfx(capsys, "prior", "fit", *words, "--out", tmp_path / "A")
    verbose = varfx(capsys, "prior", "fit", *words, "--out", tmp_path / "B", "--verbose")
    assert (quiet.code, quiet.err, verbose.code) == (0, "", 0)
    assert "constant start" in verbose.err


def test_the_program_exits_with_the_code() -> None:
    script = "from varfx.cli import main; main(['info', '/nonexistent'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["error: `/nonexistent` does not exist."]


def test_a_run_s_options_can_be_given_again(capsys: Capsys, simulated: Simulated, tmp_path: Path) -> None:
    """The file says everything: the second run has the same options, inputs and numbers."""
    words = [*simulated.fit_options(), "--hidden", 5, 4, "--holdout-chrom", "3", "--seed", 2, "--engine", "exact"]
    words += ["--max-steps", 4, "--check-every", 2, "--network-precision", "bfloat16", "--precision", "float64"]
    assert varfx(capsys, "prior", "fit", *words, "--out", tmp_path / "A").code == 0
    again = varfx(capsys, "prior", "fit", "--config", tmp_path / "A" / "options.yaml", "--out", tmp_path / "B")
    assert again.code == 0, again.err
    first, second = (json.loads((tmp_path / name / "run.json").read_text()) for name in "AB")
    assert first["config"] == second["config"]
    assert (first["config"]["split"]["seed"], first["config"]["model"]["enformer"]["precision"]) == (2, "bfloat16")
    assert first["traits"] == second["traits"]
    assert (tmp_path / "A" / "options.yaml").read_text() == (tmp_path / "B" / "options.yaml").read_text()


def test_what_an_interrupted_library_left_undone_is_no_second_line(
    capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_array() -> None: ...

    def stop(*arguments: object) -> None:
        coroutine = open_array()  # as Zarr's, collected on the way up
        assert coroutine
        raise KeyboardInterrupt

    monkeypatch.setattr("varfx.cli.app._log_to_stderr", stop)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        assert varfx(capsys, "prior", "fit").code == 130
        gc.collect()
    assert not said
