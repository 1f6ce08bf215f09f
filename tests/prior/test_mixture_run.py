"""A run with sparse effects: its files, and what the commands on runs make of its second head."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cases.simulated_panel import Simulated
from cases.sparse_trait import write_sparse_trait
from varfx.errors import ConfigError
from varfx.finemap.source import study_of_run
from varfx.io.workers import Workers
from varfx.models import ModelConfig
from varfx.pages import ReportConfig, write_report
from varfx.prior import SplitConfig, evaluate, fit, open_run, predict
from varfx.prior.cross_fit import cross_fit
from varfx.prior.effects.choose import trait_effects
from varfx.prior.effects.config import EffectsConfig
from varfx.prior.files import PriorInputs
from varfx.prior.fit import FitOptions
from varfx.prior.mixture_fit import MIXTURE
from varfx.prior.run import CHECKPOINTS, MIXTURE_HISTORY
from varfx.prior.weights import posterior_weights
from varfx.training import TrainConfig
from varfx.training.gwas import mixture

MODEL = ModelConfig(kind="linear", effects="mixture")
TRAINING = TrainConfig(max_steps=12, check_every=4, warmup_steps=0)
SPLIT = SplitConfig(holdout_chrom=("3",))


@pytest.fixture(scope="module")
def run(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture")
    traits = [write_sparse_trait(simulated, folder / "sparse.sumstats.parquet"), simulated.height]
    fit(
        simulated.panel,
        traits,
        folder / "RUN",
        annotations=simulated.annot,
        model=MODEL,
        training=TRAINING,
        split=SPLIT,
    )
    return folder / "RUN"


def test_a_run_keeps_both_heads_and_what_variants_share(run: Path) -> None:
    fitted = open_run(run)
    assert fitted.model.config.effects == "mixture"
    assert dict(fitted.model.network.named_parameters())["weights.weight"].shape[0] == 4
    for trait in fitted.record["traits"]:
        assert 0 < trait["mixture"]["background"] < 1
        assert sum(trait["mixture"]["slab_probabilities"]) == pytest.approx(1)
    lines = (run / MIXTURE_HISTORY).read_text().splitlines()
    assert lines[0] == "step,train_bound_per_association,validation_bound_per_association"
    bounds = [float(line.split(",")[2]) for line in lines[1:]]
    assert max(bounds) >= bounds[0]
    assert fitted.record["mixture"]["best_step"] in {int(line.split(",")[0]) for line in lines[1:]}
    assert "effects: mixture" in (run / "options.yaml").read_text()


def test_a_prediction_has_the_marginal_variance_and_the_inclusion(run: Path, simulated: Simulated) -> None:
    table = predict(run)
    fitted = open_run(run)
    model = fitted.model.double()
    assert fitted.standardiser is not None
    assert model.mixture is not None
    channels = PriorInputs(annotations=simulated.annot).read_annotations()
    assert channels is not None
    variants = simulated.open().variants
    values, missing = channels.select(variants)
    x = torch.from_numpy(fitted.standardiser.apply(tuple(channels.channels), values, missing)).double()
    score = (x @ dict(model.network.named_parameters())["weights.weight"].T)[:, 2:]
    eaf = variants["eaf"].cast(float).to_numpy()
    log_odds = (
        model.mixture.offset + model.mixture.alpha * torch.from_numpy(np.log(4 * eaf * (1 - eaf)))[:, None] + score
    )
    for i, name in enumerate(("sparse", "height")):
        np.testing.assert_allclose(table[f"inclusion.{name}"], log_odds.sigmoid().detach().numpy()[:, i], rtol=1e-6)
        assert (table[f"f.{name}"] > 0).all()


def test_weights_of_a_mixture_follow_the_second_head(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}

    def watched(cores, f, sigma2, config, **options):  # type: ignore[no-untyped-def]
        given[cores.trait.name] = options["inclusion"]
        return trait_effects(cores, f, sigma2, replace(config, effects="normal"), **options)

    monkeypatch.setattr(sys.modules[posterior_weights.__module__], "trait_effects", watched)
    found = posterior_weights(run, EffectsConfig(effects="mixture"), PriorInputs(), where=Workers(workers=1))
    table = predict(run)
    for entry in found.traits:
        np.testing.assert_allclose(given[entry["name"]], table[f"inclusion.{entry['name']}"])
        assert entry["inclusion"] == "the run's own head"


def test_other_commands_take_the_marginal_variance(run: Path) -> None:
    for trait in evaluate(run).traits:
        assert np.isfinite(trait["gain"])
        assert trait["log_p"] + trait["mixture"]["difference"] == pytest.approx(trait["mixture"]["log_p_bound"])
        assert abs(trait["mixture"]["difference"]) > 1e-3
    normal = open_run(run)
    assert normal.model.mixture is not None
    with torch.no_grad():
        normal.model.mixture.background_logit.fill_(30.0)  # no sparse part is left
    for trait in evaluate(normal).traits:
        assert trait["mixture"]["difference"] == pytest.approx(0, abs=1e-6)
    study = study_of_run(run, PriorInputs(), "sparse")
    table = predict(run)
    assert study.f is not None
    assert study.inclusion is not None
    np.testing.assert_allclose(study.f, table["f.sparse"])
    np.testing.assert_allclose(study.inclusion, table["inclusion.sparse"])
    assert any("weighted by the run's probabilities" in note for note in study.notes)


def test_an_interrupted_second_half_goes_on_where_it_was(
    run: Path, simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traits = [run.parent / "sparse.sumstats.parquet", simulated.height]
    options = {"annotations": simulated.annot, "model": MODEL, "training": TRAINING, "split": SPLIT}
    calls = {"number": 0}

    def interrupted(*given, **named):  # type: ignore[no-untyped-def]
        calls["number"] += 1
        if calls["number"] > 10:
            raise KeyboardInterrupt
        return mixture.total_bound(*given, **named)

    monkeypatch.setattr("varfx.training.gwas.module.total_bound", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(simulated.panel, traits, tmp_path / "RUN", **options)
    monkeypatch.undo()
    assert list(tmp_path.rglob(f"{CHECKPOINTS}/{MIXTURE}/last"))
    resumed = fit(simulated.panel, traits, tmp_path / "RUN", resume=True, **options)
    for name, value in open_run(run).model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_what_a_mixture_cannot_do_is_refused() -> None:
    with pytest.raises(ConfigError, match="`--effects mixture` begins with a fit by the likelihood"):
        FitOptions(model=MODEL, training=TrainConfig(objective="ldsr"), split=SPLIT)
    with pytest.raises(ConfigError, match="`effects` of a fit must be normal or mixture, got 'spike-slab'"):
        ModelConfig(effects="spike-slab")  # type: ignore[arg-type]


def test_cross_fits_keep_the_inclusion(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = open_run(run)
    monkeypatch.setattr(sys.modules[cross_fit.__module__], "_fits", lambda *given: [(("1", "2", "3"), open_run(run))])
    table = cross_fit(fitted, tmp_path / "folds", folds=3)
    for name in ("f.sparse", "inclusion.sparse", "inclusion.height"):
        np.testing.assert_allclose(table[name], predict(run)[name])


def test_the_report_says_how_the_second_head_was_trained(run: Path, tmp_path: Path) -> None:
    write_report(run, tmp_path / "r.html", ReportConfig(trait="sparse"))
    shared = open_run(run).record["traits"][0]["mixture"]
    assert (
        f"a normal background (share {shared['background']:.0%} of the variance)" in (tmp_path / "r.html").read_text()
    )
