"""Fits to several ancestries: one network, windows by position, and what a name or an order may not change."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from cases.ancestries import SecondAncestry
from cases.simulated_panel import Simulated, window_data
from varfx.errors import ConfigError, DataError, StoreError
from varfx.ld import open_panel
from varfx.models import ModelConfig, VariancePrior
from varfx.prior import AncestryRun, SplitConfig, evaluate, fit, fit_ancestries, open_ancestries, open_run, predict
from varfx.prior.ancestries.split import PanelWindows, split_together
from varfx.prior.cross_fit import cross_fit
from varfx.training import TrainConfig, total_log_p
from varfx.training.gwas.joint import JointWindows

STEPS = TrainConfig(max_steps=40, check_every=20)
HOLDOUT = SplitConfig(holdout_chrom=("3",))
LINEAR = ModelConfig(kind="linear")


def test_a_single_name_changes_no_number(simulated: Simulated, tmp_path: Path) -> None:
    options = {"annotations": simulated.annot, "model": LINEAR, "training": STEPS, "split": HOLDOUT}
    plain = fit(simulated.panel, simulated.height, tmp_path / "PLAIN", **options)  # type: ignore[arg-type]
    fit_ancestries({"EUR": simulated.panel}, {"EUR": simulated.height}, tmp_path / "NAMED", **options)  # type: ignore[arg-type]
    named = open_run(tmp_path / "NAMED" / "EUR")
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(named.model.state_dict()[name], value, rtol=0, atol=0)
    for key in ("split", "outcome", "config", "panel", "sumstats", "annotations", "build"):
        assert named.record[key] == plain.record[key]
    (own,), (other,) = named.record["traits"], plain.record["traits"]
    assert {**own, "ledger": []} == {**other, "ledger": []}
    assert evaluate(tmp_path / "NAMED").traits[0]["gain"] == evaluate(plain).traits[0]["gain"]
    assert predict(named).equals(predict(plain))


def joint_of(simulated: Simulated, copies: int, n: float) -> tuple[JointWindows, VariancePrior]:
    """A trait given as so many ancestries, each of the sample size n, in float64; its prior away from the start."""
    panel = simulated.open()
    rng = np.random.default_rng(3)
    z, features = rng.standard_normal(panel.variants.height) * 1.5, rng.standard_normal((panel.variants.height, 2))
    sizes = np.full(panel.variants.height, n)
    members = [window_data(panel, z, features, n=sizes, dtype=torch.float64) for _ in range(copies)]
    prior = VariancePrior(LINEAR, 2, copies, shared=True).double()
    with torch.no_grad():
        prior.network.weights.weight.copy_(torch.tensor([[0.3, -0.2]]))  # type: ignore[union-attr, operator]
        prior.scale.fill_(-1.0 + np.log(n / 10_000))
        prior.alpha.fill_(0.4)
        prior.log_sigma2.fill_(0.1)
    return JointWindows(members), prior


def total(joint: JointWindows, prior: VariancePrior) -> torch.Tensor:
    count = sum(len(member.panel.cores) for member in joint.members)
    return torch.stack([total_log_p(prior, joint[index])[0] for index in range(count)]).sum()


def test_one_ancestry_twice_counts_twice(simulated: Simulated) -> None:
    """The same f at half the sample size is half the F: two such halves have twice the log p and gradient of one."""
    (single, prior), (double, twice) = joint_of(simulated, 1, 5_000.0), joint_of(simulated, 2, 5_000.0)
    one, two = total(single, prior), total(double, twice)
    assert float(two.detach()) == pytest.approx(2 * float(one.detach()), rel=1e-12)
    one.backward()  # type: ignore[no-untyped-call]
    two.backward()  # type: ignore[no-untyped-call]
    weights, same = (each.network.weights.weight.grad for each in (prior, twice))  # type: ignore[union-attr]
    torch.testing.assert_close(same, 2 * weights, rtol=1e-10, atol=1e-10)  # type: ignore[operator]
    for name in ("scale", "alpha", "log_sigma2"):
        own = getattr(prior, name).grad
        torch.testing.assert_close(getattr(twice, name).grad, own.repeat(2), rtol=1e-10, atol=1e-10)


def test_gradient_by_differences(simulated: Simulated) -> None:
    joint, prior = joint_of(simulated, 2, 10_000.0)
    total(joint, prior).backward()  # type: ignore[no-untyped-call]
    step = 1e-5
    for name, parameter in prior.named_parameters():
        flat, slope = parameter.data.reshape(-1), parameter.grad.reshape(-1)  # type: ignore[union-attr]
        for place in range(flat.numel()):
            values = []
            for sign in (1, -1):
                flat[place] += sign * step
                values.append(float(total(joint, prior).detach()))
                flat[place] -= sign * step
            assert float(slope[place]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-5), name


def test_network_is_one_and_scalars_are_their_own(joint: AncestryRun) -> None:
    afr, eur = (joint.members[name] for name in ("AFR", "EUR"))
    for (name, one), (_, other) in zip(afr.model.named_parameters(), eur.model.named_parameters(), strict=True):
        same = bool(torch.equal(one, other))
        assert same == name.startswith("network"), name
    assert afr.standardiser is not None
    assert eur.standardiser is not None
    assert afr.standardiser.to_dict() == eur.standardiser.to_dict()
    assert [trait["name"] for trait in joint.record["traits"]] == ["AFR", "EUR"]
    assert afr.record["traits"][0]["n_ref"] == 4_000


def test_order_of_ancestries_leaves_every_number(
    joint: AncestryRun, simulated: Simulated, second: SecondAncestry, tmp_path: Path
) -> None:
    swapped = fit_ancestries(
        {"AFR": second.panel, "EUR": simulated.panel},
        {"EUR": simulated.height, "AFR": second.sumstats},
        tmp_path / "SWAPPED",
        annotations={"AFR": second.annot, "EUR": simulated.annot},
        model=LINEAR,
        training=STEPS,
        split=HOLDOUT,
    )
    assert swapped.record["traits"] == joint.record["traits"]
    for name, member in joint.members.items():
        for key, value in member.model.state_dict().items():
            assert torch.equal(swapped.members[name].model.state_dict()[key], value)


def test_held_out_regions_coincide(simulated: Simulated, second: SecondAncestry) -> None:
    opened = {"EUR": simulated.open(), "AFR": open_panel(second.panel)}
    panels: dict[str | None, PanelWindows] = {
        name: PanelWindows(panel.windows, panel.flank, np.ones(panel.windows.height, dtype=bool))
        for name, panel in opened.items()
    }
    found = split_together(panels, SplitConfig(holdout_fraction=0.2, validation_fraction=0.2, seed=5))
    parts = {
        str(name): {part: [opened[str(name)].cores[i] for i in numbers] for part, numbers in asdict(split).items()}
        for name, split in found.items()
    }
    assert len(parts["EUR"]["holdout"]) == 2 * len(parts["AFR"]["holdout"]) > 0
    for part in ("holdout", "validation"):
        bases = {
            name: {(core.chrom, tile) for core in split[part] for tile in range(core.start, core.end, 100_000)}
            for name, split in parts.items()
        }
        assert bases["EUR"] == bases["AFR"]
    reach = 100_000
    for one, other in (("EUR", "AFR"), ("AFR", "EUR")):
        for learned in parts[one]["train"]:
            wide = replace(learned, start=learned.start - reach, end=learned.end + reach)
            assert not any(wide.overlaps(held) for held in parts[other]["holdout"])


def windows(chroms: dict[str, list[tuple[int, int]]]) -> PanelWindows:
    rows = [(chrom, start, end) for chrom, cores in chroms.items() for start, end in cores]
    frame = pl.DataFrame(rows, schema=["chrom", "start", "end"], orient="row")
    return PanelWindows(frame, 10, np.ones(len(rows), dtype=bool))


def test_windows_across_a_border_belong_to_no_part() -> None:
    wide = windows({"1": [(i * 100, i * 100 + 100) for i in range(10)]})
    shifted = windows({"1": [(i * 70 + 35, i * 70 + 105) for i in range(13)]})
    split = split_together(
        {"A": wide, "B": shifted}, SplitConfig(holdout_fraction=0.3, validation_fraction=0.0, seed=1)
    )
    held = wide.windows[list(split["A"].holdout)]
    first, last = int(held["start"].min()), int(held["end"].max())  # type: ignore[arg-type]
    cores = shifted.windows.select("start", "end").rows()
    for index, (start, end) in enumerate(cores):
        inside = first <= start and end <= last
        apart = start >= last + 10 or end <= first - 10
        assert (index in split["B"].holdout, index in split["B"].train) == (inside, apart)
        assert (index in split["B"].gap) == (not inside and not apart)


def test_splits_that_cannot_be(simulated: Simulated) -> None:
    one, other = windows({"1": [(0, 100), (200, 300)]}), windows({"2": [(0, 100), (200, 300)]})
    with pytest.raises(DataError, match=r"no chromosome has associations in all 2 ancestries \(A 1; B 2\)"):
        split_together({"A": one, "B": other}, SplitConfig())
    both = windows({"1": [(0, 100)], "2": [(0, 100), (500, 600)]})
    with pytest.raises(
        ConfigError, match="`holdout-chrom` names 1 chromosomes that the panel of B does not have, first 1"
    ):
        split_together({"A": both, "B": other}, SplitConfig(holdout_chrom=("1",)))
    wide = windows({"2": [(0, 90), (90, 310), (400, 1000)]})
    with pytest.raises(
        ConfigError, match="no held-out windows are left of A: of its 3 windows with data none lies within"
    ):
        split_together({"A": wide, "B": windows({"2": [(0, 50), (5000, 9000)]})}, SplitConfig(holdout_fraction=0.5))


def test_a_run_of_several_is_no_run_of_one(joint: AncestryRun, simulated: Simulated) -> None:
    with pytest.raises(
        ConfigError, match=r"holds the priors of 2 ancestries, AFR, EUR, of which this needs one. Give `.*JOINT/AFR` or"
    ):
        open_run(joint.path)
    with pytest.raises(ConfigError, match="was fitted together with other ancestries"):
        cross_fit(joint.path / "EUR", joint.path.parent / "folds", folds=2)
    with pytest.raises(ConfigError, match=r"`--panel` is of one ancestry, and `.*JOINT` is the run of AFR, EUR"):
        evaluate(joint.path, panel=simulated.panel)
    with pytest.raises(ConfigError, match="is the run of one panel"):
        open_ancestries(joint.path / "EUR")


def test_damage_is_found(joint: AncestryRun, tmp_path: Path) -> None:
    shutil.copytree(joint.path, tmp_path / "RUN")
    (tmp_path / "RUN" / "EUR" / "model.safetensors").write_bytes(b"0" * 100)
    with pytest.raises(StoreError, match="is damaged"):
        open_ancestries(tmp_path / "RUN")


def test_evaluation_has_a_gain_per_ancestry(joint: AncestryRun) -> None:
    found = evaluate(joint.path)
    assert [entry["name"] for entry in found.traits] == ["AFR", "EUR"]
    alone = evaluate(joint.members["AFR"])
    assert found.traits[0] == {**alone.traits[0], "name": "AFR"}
    assert {row["trait"] for row in found.windows} == {"AFR", "EUR"}
    same = evaluate(joint.path, compare_with=joint.path)
    assert [entry["difference"] for entry in same.traits] == [0, 0]
    with pytest.raises(ConfigError, match=r"is the run of one panel, and .*JOINT` that of several"):
        evaluate(joint.path, compare_with=joint.path / "EUR")


def test_prediction_joins_ancestries_by_position_and_alleles(joint: AncestryRun) -> None:
    table = predict(joint.path)
    key = ["chrom", "position"]
    for name in ("AFR", "EUR"):
        own = predict(joint.members[name])
        beside = table.filter(pl.col(f"f.{name}").is_not_null()).join(own, on=key, how="full", suffix=".own")
        assert beside.height == own.height
        assert beside[f"f.{name}"].equals(beside["f"])
        same = beside["effect_allele"] == beside["effect_allele.own"]
        eaf = pl.select(pl.when(same).then(beside["eaf"]).otherwise(1 - beside["eaf"])).to_series()
        np.testing.assert_allclose(beside[f"eaf.{name}"], eaf, atol=1e-6)
    shared = table.filter(pl.col("f.AFR").is_not_null() & pl.col("f.EUR").is_not_null())
    only = table.filter(pl.col("f.EUR").is_null())
    assert (table.height, shared.height, only.height) == (480 + 48, 384, 48)


def test_one_table_of_annotations_serves_all_panels(
    joint: AncestryRun, simulated: Simulated, second: SecondAncestry
) -> None:
    from varfx.annotations import Annotations, read_annotations

    tables = [read_annotations(path).table for path in (second.annot, simulated.annot)]
    both = pl.concat(tables).unique(["chrom", "position"], keep="last", maintain_order=True)
    union = Annotations(table=both.drop("noise", "ld_score", "eaf"))
    options = {"model": LINEAR, "training": TrainConfig(max_steps=2), "split": HOLDOUT}
    panels, sums = {"EUR": simulated.panel, "AFR": second.panel}, {"EUR": simulated.height, "AFR": second.sumstats}
    folder = joint.path.parent
    one = fit_ancestries(panels, sums, folder / "ONE", annotations=union.table, **options)  # type: ignore[arg-type]
    by_name = {"EUR": union.table, "AFR": union.table}
    two = fit_ancestries(panels, sums, folder / "TWO", annotations=by_name, **options)  # type: ignore[arg-type]
    assert one.record["traits"] == two.record["traits"]
    other = {"EUR": simulated.annot, "AFR": union.table}
    with pytest.raises(DataError, match="are of one alone, first `ld_score`"):
        fit_ancestries(panels, sums, folder / "THREE", annotations=other, **options)  # type: ignore[arg-type]


def test_names_that_do_not_go_together(simulated: Simulated, tmp_path: Path) -> None:
    panel, height = simulated.panel, simulated.height
    for panels, sums, message in (
        ({"EUR": panel, "AFR": panel}, {"EUR": height}, "`--panel` names AFR, but `--sumstats` does not .it has EUR."),
        ({"EUR": panel}, {"EUR": height, "AFR": height}, "`--sumstats` names AFR, but `--panel` does not"),
        ({"E/R": panel}, {"E/R": height}, "`E/R` cannot name an ancestry"),
        ({"META": panel}, {"META": height}, "`META` cannot name an ancestry"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit_ancestries(panels, sums, tmp_path / "RUN")


def test_sparse_effects_are_of_one_panel(simulated: Simulated, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`--effects mixture` is for one panel"):
        fit_ancestries(
            {"EUR": simulated.panel},
            {"EUR": simulated.height},
            tmp_path / "RUN",
            model=replace(LINEAR, effects="mixture"),
        )


def test_a_member_is_a_run_like_others(joint: AncestryRun) -> None:
    """Its trait has the name that it has in the summary statistics, by which commands find it there."""
    member = open_run(joint.path / "EUR")
    assert member.trait_names == ["height"]
    assert {row["trait"] for row in evaluate(member).windows} == {"height"}


def test_an_interrupted_fit_goes_on(joint: AncestryRun, simulated: Simulated, second: SecondAncestry) -> None:
    out = joint.path.parent / "STOPPED"

    def interrupt(done: int, total: int, what: str) -> None:
        if "steps" in what and done >= 25:
            raise KeyboardInterrupt

    def again(**options: Any) -> AncestryRun:
        return fit_ancestries(
            {"EUR": simulated.panel, "AFR": second.panel},
            {"AFR": second.sumstats, "EUR": simulated.height},
            out,
            annotations={"EUR": simulated.annot, "AFR": second.annot},
            model=LINEAR,
            training=STEPS,
            split=HOLDOUT,
            **options,
        )

    with pytest.raises(KeyboardInterrupt):
        again(progress=interrupt)
    with pytest.raises(StoreError, match="Go on with --resume"):
        again()
    with pytest.raises(StoreError, match="input annotations"):
        fit_ancestries(
            {"EUR": simulated.panel},
            {"EUR": simulated.height},
            out,
            model=LINEAR,
            training=STEPS,
            split=HOLDOUT,
            resume=True,
        )
    resumed = again(resume=True)
    assert resumed.record["traits"] == joint.record["traits"]
