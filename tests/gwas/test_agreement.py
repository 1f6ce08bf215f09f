"""Statistics that are missing, impossible, contradictory or unsigned: each cause is named, and nothing blocks the next."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from varfx.errors import DataError
from varfx.gwas import CleanOptions, clean
from varfx.gwas.sumstats import SumStats

Z = np.array([-2.0, 3.0, 1.0, -1.5, 2.5, -0.3])
KEYS = "CHR BP SNP EA NEA N"


def read(folder: Path, header: str, values: dict[str, Any], **options: Any) -> SumStats:
    """The statistics of a file with the columns of `header`, written out from arrays."""
    size = len(next(iter(values.values())))
    keys = [f"1\t{1000 * k}\trs{k}\tA\tG\t1000" for k in range(1, size + 1)]
    lines = ["\t".join([key, *(str(values[name][k]) for name in header.split())]) for k, key in enumerate(keys)]
    path = folder / "gwas.tsv"
    path.write_text("\n".join(["\t".join([*KEYS.split(), *header.split()]), *lines]) + "\n")
    return clean(path, **options)


def p_of(z: np.ndarray) -> np.ndarray:
    return np.asarray(2 * stats.norm.sf(np.abs(z)))


def dropped(found: SumStats) -> dict[str, int]:
    return {str(entry["note"]): entry["count"] for entry in found.metadata["ledger"] if entry["step"] == "dropped"}


@pytest.mark.parametrize(
    ("header", "row", "z"),
    [
        ("BETA SE P", ("0.02", "0.01", "0"), 2.0),
        ("BETA SE P", ("0.02", "0", "0.0455"), 2.0),
        ("BETA SE P", ("0.02", "nan", "0.0455"), 2.0),
        ("BETA SE P LOG10P", ("0.02", "0", "0", "400"), 42.826),
        ("BETA SE CHISQ", ("0.02", "0.01", "-1"), 2.0),
        ("OR SE P", ("1", "0.01", "1"), 0.0),
        ("OR SE P", ("1", "0.01", "0.5"), 0.0),
        ("BETA SE P", ("0", "0.01", "0.9"), 0.0),
        ("BETA Z P", ("0.02", "nan", "0.0455"), 2.0),
        ("BETA SE Z P", ("nan", "0.01", "2", "0.0455"), 2.0),
        ("OR SE Z", ("0", "0.01", "2"), 2.0),
        ("OR ci_lower ci_upper P", ("1.221402758", "1.0041", "1.4857", "0"), 2.0),
        ("BETA OR ci_lower ci_upper", ("NA", "7.389056", "1.04108", "52.4437"), 2.0),
        ("BETA OR ci_lower ci_upper", ("2", "7.389056", "2.7727", "19.6913"), 4.0),
        ("BETA OR ci_lower ci_upper", ("2", "7.389056", "0.040036", "3.959964"), 2.0),
        ("BETA OR ci_lower ci_upper", ("2", "NA", "0.040036", "3.959964"), 2.0),
        ("BETA ci_lower ci_upper", ("2", "1.04108", "52.4437"), 2.0),
        ("BETA ci_lower ci_upper", ("2", "0.040036", "3.959964"), 2.0),
    ],
)
def test_what_is_impossible_in_one_statistic_leaves_the_row_to_the_next(
    header: str, row: tuple[str, ...], z: float, tmp_path: Path
) -> None:
    """Beside good rows, so that the file as a whole agrees with itself."""
    names = header.split()
    columns: dict[str, Any] = {name: [] for name in names}
    for value in (2.0, 3.0):
        good = {"BETA": 0.01 * value, "OR": np.exp(0.01 * value), "SE": 0.01, "Z": value, "CHISQ": value**2}
        good |= {"P": p_of(np.array([value]))[0], "LOG10P": -np.log10(p_of(np.array([value]))[0])}
        good |= {"ci_lower": np.exp(0.01 * (value - 1.96)), "ci_upper": np.exp(0.01 * (value + 1.96))}
        for name in names:
            columns[name].append(good[name])
    for name, word in zip(names, row, strict=True):
        columns[name].append(word)
    found = read(
        tmp_path, header, columns, columns={"chisq": "CHISQ", "beta": "BETA", "se": "SE"} if "CHISQ" in names else None
    )
    assert found.table["z"].to_list() == pytest.approx([2, 3, z], abs=2e-3)


def test_each_cause_of_a_lost_z_is_counted(tmp_path: Path) -> None:
    columns = {
        "OR": [1.02, 0.98, 1.0, -1.0, 0.0, 1.03, 1.02, 1.02, "NA", 1.05],
        "SE": [0.01, 0.01, 0.0, 0.01, 0.01, 0.0, -0.01, "nan", 0.01, 0.0],
        "P": [0.0477, 0.0433, 1e-9, 0.5, 0.5, "nan", 2.0, "nan", 0.5, 0.0],
    }
    with pytest.raises(
        DataError, match=r"z cannot be computed in 7 of 10 rows \(.*first row 3 \(rs3 1:3000 A/G\)"
    ) as caught:
        read(tmp_path, "OR SE P", columns)
    causes = {
        "an effect of 0 has no sign, but its |z| is 1 or more": 1,
        "the odds ratio is 0 or negative": 2,
        "SE is 0, negative or not finite": 4,
    }
    for cause, count in causes.items():
        assert f"{cause} in {count}" in str(caught.value)
    found = read(tmp_path, "OR SE P", columns, filters=CleanOptions(drop_invalid=True))
    assert dropped(found) == {**{f"invalid: {cause}": count for cause, count in causes.items()}, "missing z": 1}
    assert found.table["variant_id"].to_list() == ["rs1", "rs2"]


SE, ODDS = 0.1, np.exp(Z * 0.1)
CONTRADICTIONS: dict[str, tuple[str, dict[str, Any], str, dict[str, str]]] = {
    "log odds called OR": ("OR SE P", {"OR": Z * SE, "SE": SE}, r"`OR` looks like log odds", {"beta": "OR", "se": "SE", "p": "P"}),
    "odds ratios called BETA": ("BETA SE P", {"BETA": ODDS, "SE": 0.1}, "`BETA` looks like odds", {"odds_ratio": "BETA", "se": "SE", "p": "P"}),
    "z called BETA": ("BETA SE P", {"BETA": Z, "SE": SE}, "`BETA` looks like z", {"z": "BETA", "p": "P"}),
    "a variance called SE": ("BETA SE P", {"BETA": Z * SE, "SE": SE**2}, "`SE` looks like a variance", {"beta": "BETA", "p": "P"}),
    "the error of the odds ratio": ("OR SE P", {"OR": np.exp(Z), "SE": np.exp(Z)}, "`SE` looks like the error of OR", {"odds_ratio": "OR", "p": "P"}),
    "-log10 p called p": ("BETA SE P", {"BETA": Z * SE, "SE": SE, "P": -np.log10(p_of(Z))}, "`P` looks like -log10 p", {"beta": "BETA", "se": "SE", "neg_log10_p": "P"}),
    "percentages called p": ("BETA SE P", {"BETA": Z * SE, "SE": SE, "P": 100 * p_of(Z)}, "`P` looks like percentages", {"beta": "BETA", "se": "SE"}),
    "ln p called -log10 p": ("BETA SE MLOGP", {"BETA": Z * SE, "SE": SE, "MLOGP": -np.log(p_of(Z))}, "`MLOGP` looks like -ln p", {"beta": "BETA", "se": "SE"}),
    "p called -log10 p": ("BETA SE MLOGP", {"BETA": Z * SE, "SE": SE, "MLOGP": p_of(Z)}, "`MLOGP` looks like p", {"beta": "BETA", "se": "SE", "p": "MLOGP"}),
    "another effect's error": ("BETA SE P", {"BETA": Z * SE * 7, "SE": SE}, "One of the columns is not what its name says", {"beta": "BETA", "p": "P"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_in_nearly_all_rows_stop_and_say_what_fits(name: str, tmp_path: Path) -> None:
    header, given, message, remedy = CONTRADICTIONS[name]
    columns = {column: np.broadcast_to(given.get(column, p_of(Z)), Z.shape) for column in header.split()}
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, header, columns)
    assert "contradict each other in nearly all of 6 rows" in str(caught.value)
    found = read(tmp_path, header, columns, columns=remedy)
    np.testing.assert_allclose(found.table["z"].to_numpy(), Z, atol=1e-6)
    for role, column in remedy.items():
        assert f"{role}={column}" in str(caught.value) or name == "another effect's error"


@pytest.mark.parametrize("middle", [0.01, 0.02])
def test_odds_ratios_nowhere_near_1_stop_without_a_test(middle: float, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`OR` looks like log odds \(median .*; odds ratios are near 1\)"):
        read(tmp_path, "OR SE", {"OR": [middle] * 5, "SE": [0.01] * 5})


def test_signs_that_contradict_the_effect_stop(tmp_path: Path) -> None:
    columns = {"BETA": Z * SE, "Z": np.abs(Z)}
    with pytest.raises(DataError, match=r"`Z` and `BETA` have opposite signs in 2 of 4 rows with \|z\| above 1"):
        read(tmp_path, "BETA Z", columns)
    assert read(tmp_path, "BETA Z", {"BETA": Z * SE, "Z": Z}).table["z"].to_list() == pytest.approx(list(Z))


def test_a_log_p_of_either_sign_is_read_and_of_both_refused(tmp_path: Path) -> None:
    log10_p = np.log10(p_of(Z))
    for values in (log10_p, -log10_p):
        found = read(tmp_path, "BETA LOG10P", {"BETA": Z, "LOG10P": values})
        np.testing.assert_allclose(found.table["z"].to_numpy(), Z, atol=1e-6)
    found = read(tmp_path, "BETA ln_p", {"BETA": Z, "ln_p": np.log(p_of(Z))})
    np.testing.assert_allclose(found.table["z"].to_numpy(), Z, atol=1e-6)
    with pytest.raises(DataError, match=r"`LOG10P` is called log10 p, but 3 of 6 values are above 0"):
        read(tmp_path, "BETA LOG10P", {"BETA": Z, "LOG10P": np.where(np.arange(6) % 2, log10_p, -log10_p)})
    with pytest.raises(DataError, match=r"`ln_p` is called ln p, but 6 of 6 values are above 0"):
        read(tmp_path, "BETA ln_p", {"BETA": Z, "ln_p": -np.log(p_of(Z))})


def test_some_rows_that_disagree_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As after Firth or SPA: rare variants only."""
    p = p_of(Z)
    p[:2] = p_of(Z[:2] * 0.5)
    with caplog.at_level(logging.WARNING, "varfx"):
        found = read(tmp_path, "BETA SE P", {"BETA": Z * SE, "SE": [SE] * 6, "P": p})
    assert "disagrees with `P` (mixed model, Firth, SPA or rounding) in 2 of 6 rows" in caplog.text
    np.testing.assert_allclose(found.table["z"].to_numpy(), Z, atol=1e-6)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inflation=st.floats(1.0, 1.4), seed=st.integers(0, 2**32 - 1))
def test_genomic_control_is_no_contradiction(tmp_path: Path, inflation: float, seed: int) -> None:
    """p corrected by lambda_GC beside the uncorrected SE: |z| differs by its root in every row."""
    z = np.random.default_rng(seed).normal(0, 1.3, 60)
    found = read(tmp_path, "BETA SE P", {"BETA": z * SE, "SE": [SE] * 60, "P": p_of(z / inflation)})
    np.testing.assert_allclose(found.table["z"].to_numpy(), z, atol=1e-6)


def unsigned(size: int, rng: np.random.Generator) -> np.ndarray:
    return np.abs(rng.normal(0, 1.2, size))


def test_files_of_unsigned_z_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    z = unsigned(200, rng)
    with pytest.raises(DataError, match=r"z is positive in all 200 rows, as an unsigned statistic is\..* --one-sign"):
        read(tmp_path, "Z", {"Z": z})
    with pytest.raises(DataError, match=r"z is negative in all 200 rows"):
        read(tmp_path, "Z", {"Z": -z})
    assert read(tmp_path, "Z", {"Z": z}, filters=CleanOptions(one_sign=True)).table.height == 200
    signed = z * rng.choice([-1, 1], 200)
    assert read(tmp_path, "Z", {"Z": signed}).table.height == 200
    assert read(tmp_path, "Z", {"Z": z[:5]}).table.height == 5  # a few lead variants may well have one sign


def test_a_median_far_from_0_is_refused_where_variants_are_independent(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """A few signs among unsigned statistics; a locus of one association is no such file."""
    path = tmp_path / "wide.tsv"
    z = unsigned(3000, rng)
    z[::20] *= -1
    rows = [f"{1 + k % 22}\t{1 + 100_000 * k}\trs{k}\tA\tG\t1000\t{value}" for k, value in enumerate(z)]
    path.write_text("\n".join(["\t".join([*KEYS.split(), "Z"]), *rows]))
    with pytest.raises(DataError, match=r"the median of z over 3000 rows is 0\.\d+, where it is near 0 for signed"):
        clean(path)
    locus = 4 * np.exp(-(np.linspace(-2, 2, 400) ** 2)) + rng.normal(0, 0.7, 400)
    assert read(tmp_path, "Z", {"Z": locus}).table.height == 400


@pytest.mark.parametrize("role", ["OR", "HR"])
def test_an_effect_and_its_ratio_have_one_sign(role: str, tmp_path: Path) -> None:
    columns = {"BETA": Z / 100, "SE": np.full(6, 0.01), role: np.exp(Z / 100)}
    assert read(tmp_path, f"BETA SE {role}", columns).table["z"].to_list() == pytest.approx(Z.tolist())
    with pytest.raises(
        DataError, match=rf"`BETA` and log\({role}\) have opposite signs in 3 of the 3 rows with the larger effects"
    ):
        read(tmp_path, f"BETA SE {role}", {**columns, "BETA": -Z / 100})
    named = read(tmp_path, f"BETA SE {role}", {**columns, "BETA": -Z / 100}, columns={"beta": "BETA", "se": "SE"})
    assert named.table["z"].to_list() == pytest.approx((-Z).tolist())
