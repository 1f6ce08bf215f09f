"""A command's options are its configurations: same words, same defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import cyclopts
import pytest

from varfx.cli.prior_options import FitInputs
from varfx.cli.prior_simulate import SimulateInputs
from varfx.cli.tree import build_app
from varfx.prior import evaluate, evaluate_variances, predict, weights, write_prediction, write_weights
from varfx.prior.ldsc_config import LDSCInputs
from varfx.prior.run_options import (
    Float64Device,
    ForeignPrior,
    PredictConfig,
    ScoredWindows,
    WeightsConfig,
    WeightsWorkers,
    Yardsticks,
)
from varfx.tracks.average import average_tracks
from varfx.tracks.config import AverageConfig

COMMANDS = (
    "prior fit",
    "prior evaluate",
    "prior explain",
    "prior predict",
    "prior simulate",
    "prior weights",
    "prior ldsc",
    "prior h2",
    "prior rg",
    "demo prior",
    "demo expression",
    "prior score-test",
    "ld build",
    "tracks build",
    "annot build",
    "expr variants",
    "expr baseline",
    "expr prepare",
    "expr select",
    "expr evaluate",
    "plan",
    "expr fit",
)
# Fields for Python alone, and those whose word alone would be ambiguous among the options of a command.
HIDDEN = {
    ("TrackEnformerConfig", "zero_output"),
    ("ZeroShotConfig", "network"),
    ("FitConfig", "network"),  # options of their own
    ("FitConfig", "training"),
    ("FitConfig", "target"),
}
RENAMED = {("TrackEnformerConfig", "precision"): "--network-precision", ("SplitConfig", "seed"): "--split-seed"}
PREFIXED = {"InformedConfig": "--prior-"}
RENAMED |= {("TruthConfig", "seed"): "--truth-seed", ("Yardsticks", "compare_with"): "--compare"}
RENAMED |= {("OtherFeatures", "annotations"): "--features"}


def command_of(words: str) -> cyclopts.App:
    app = build_app()
    for word in words.split():
        app = app[word]
    return app


def leaves(config: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[type, str, tuple[str, ...], Any]]:
    """Class, field, path and default of every field of a configuration and of those within it."""
    for each in fields(config):
        value = getattr(config, each.name)
        if is_dataclass(value) and (type(config).__name__, each.name) not in HIDDEN:
            yield from leaves(value, (*keys, each.name))
        else:
            yield type(config), each.name, (*keys, each.name), value


def descendants(argument: cyclopts.Argument) -> Iterator[cyclopts.Argument]:
    for child in argument.children:
        yield child
        yield from descendants(child)


def configurations(command: cyclopts.App) -> dict[str, Any]:
    """The parameters of a command's function that are configurations, and their defaults."""
    parameters = inspect.signature(command.default_command).parameters
    return {name: each.default for name, each in parameters.items() if is_dataclass(each.default)}


@pytest.mark.parametrize("words", COMMANDS)
def test_every_field_is_an_option_with_the_same_default(words: str) -> None:
    command = command_of(words)
    collection = command.assemble_argument_collection(parse_docstring=True)
    configs = configurations(command)
    assert configs
    for parameter, config in configs.items():
        assert config == type(config)(), "the command's default is the configuration's own"
        (root,) = [argument for argument in collection if not argument.keys and argument.field_info.name == parameter]
        found = {argument.keys: argument for argument in descendants(root)}
        for owner, field, keys, default in leaves(config):
            if (owner.__name__, field) in HIDDEN:
                assert not found[keys].parse
                continue
            argument = found[keys]
            assert argument.field_info.default == default, (owner, field)
            if argument.children:  # a configuration that may be left out
                assert default is None
                (within,) = [kind for kind in get_args(argument.hint) if is_dataclass(kind)]
                assert {child.keys[-1] for child in argument.children} == {each.name for each in fields(within)}
                continue
            prefix = PREFIXED.get(owner.__name__, "--")
            assert RENAMED.get((owner.__name__, field), prefix + field.replace("_", "-")) in argument.names
            assert argument.show, f"{owner.__name__}.{field} is not on the help page"
            assert argument.parameter.help, f"{owner.__name__}.{field} has no docstring"


@pytest.mark.parametrize(
    ("words", "parameter", "config"),
    [
        ("prior fit", "inputs", FitInputs),
        ("prior simulate", "inputs", SimulateInputs),
        ("prior ldsc", "inputs", LDSCInputs),
        ("tracks average", "config", AverageConfig),
    ],
)
def test_configurations_that_must_be_given(words: str, parameter: str, config: type) -> None:
    collection = command_of(words).assemble_argument_collection(parse_docstring=True)
    found = {argument.keys: argument for argument in collection if argument.field_info.name == parameter}
    (root,) = [argument for keys, argument in found.items() if not keys]
    options = {argument.keys[-1]: argument for argument in descendants(root)}
    assert set(options) == {each.name for each in fields(config)}
    for each in fields(config):
        option = options[each.name]
        assert f"--{each.name.replace('_', '-')}" in option.names
        assert option.show
        assert option.parameter.help, f"{config.__name__}.{each.name} has no docstring"
        assert bool(option.required) == (each.default is MISSING), each.name
        assert each.default is MISSING or option.field_info.default == each.default


@pytest.mark.parametrize(
    ("function", "configs"),
    [
        (evaluate, (ScoredWindows, Yardsticks, Float64Device)),
        (evaluate_variances, (ScoredWindows, Float64Device)),
        (predict, (Float64Device,)),
        (weights, (WeightsWorkers, Float64Device)),
    ],
)
def test_functions_have_the_defaults_of_the_options(function: Callable[..., Any], configs: tuple[type, ...]) -> None:
    parameters = inspect.signature(function).parameters
    for config in configs:
        for each in fields(config):
            assert parameters[each.name].default == each.default, (config, each.name)


def test_functions_with_single_options_of_a_configuration() -> None:
    def default(function: Callable[..., Any], name: str) -> Any:
        return inspect.signature(function).parameters[name].default

    assert default(average_tracks, "width") == AverageConfig(tracks=Path(), panel=Path()).width
    assert default(predict, "cap") == PredictConfig().cap
    assert default(write_weights, "form") == WeightsConfig().format
    assert default(write_prediction, "form") == PredictConfig().format
    assert default(evaluate_variances, "sigma2") == ForeignPrior().sigma2
    assert default(evaluate_variances, "like") == ForeignPrior().like


@pytest.mark.parametrize("words", [*COMMANDS, "tracks average"])
def test_no_word_means_two_options(words: str) -> None:
    names = [
        name for argument in command_of(words).assemble_argument_collection() for name in argument.names if name != "*"
    ]
    assert len(names) == len(set(names))


def parse(line: str) -> dict[str, Any]:
    _, bound, _ = build_app().parse_args(line.split(), exit_on_error=False, print_error=False)
    return dict(bound.arguments)


def test_options_fill_the_configurations() -> None:
    given = parse(
        "prior fit --panel P --sumstats A --sumstats B --annot N --out RUN --model enformer --width 24 --downsamples 2 "
        "--hidden 8,8 --network-precision bfloat16 --precision float64 --holdout-chrom 20-22 --seed 3 --checkpointing"
    )
    assert [str(path) for path in given["inputs"].sumstats] == ["A", "B"]
    assert [str(path) for path in given["inputs"].annotations] == [
        "N"
    ]  # a list, since panels of ancestries have one each
    model = given["model"]
    assert (model.kind, model.hidden, model.enformer.width, model.enformer.num_downsamples) == (
        "enformer",
        (8, 8),
        24,
        2,
    )
    assert (model.enformer.precision, model.enformer.checkpointing, model.enformer.depth) == ("bfloat16", True, 2)
    assert (given["training"].precision, given["training"].seed) == ("float64", 3)
    assert given["split"].holdout_chrom == ("20", "21", "22")
    assert given["split"].seed is None


def test_options_of_applied_priors_reach_their_configurations() -> None:
    given = parse("prior evaluate RUN --compare OTHER --truth T --chrom 20,21 --exclude-chrom X --seed 3 --device cpu")
    assert (given["beside"].compare_with, given["beside"].truth) == (Path("OTHER"), Path("T"))
    assert (given["scored"].chrom, given["scored"].exclude_chrom, given["scored"].seed) == (("20", "21"), ("X",), 3)
    assert given["computing"].device == "cpu"
    foreign = parse("prior evaluate --snpvar F --like RUN --sigma2 fit")["foreign"]
    assert (foreign.snpvar, foreign.like, foreign.sigma2) == (Path("F"), Path("RUN"), "fit")
    assert parse("prior evaluate --snpvar F --sigma2 1.5")["foreign"].sigma2 == 1.5
    where = parse("prior weights RUN --out W --scheduler tcp://head:8786")["where"]
    assert (where.workers, where.scheduler) == (None, "tcp://head:8786")  # the scheduler replaces the one process
    assert parse("prior weights RUN --out W --workers 3")["where"].workers == 3
    inputs = parse("prior ldsc --rg A,B --rg C --ref-ld L --m 1000 2000 --no-effective-n --all-frequencies")["inputs"]
    assert [str(path) for path in inputs.traits()] == ["A", "B", "C"]
    assert (inputs.m, inputs.effective_n, inputs.all_frequencies) == ((1000.0, 2000.0), False, True)
