"""From files to files: loci, credible sets that hold the causal variants, and every format."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.simulated_panel import Simulated
from cases.sparse_trait import CAUSAL, OTHER, N, write_sparse_trait
from varfx.errors import ConfigError, DataError
from varfx.finemap import (
    FinemapConfig,
    FineMapping,
    LocusConfig,
    NoiseConfig,
    finemap,
    study_of_variances,
    study_without_prior,
    write_files,
)
from varfx.finemap.files import finemap14, finngen, opentargets, polyfun, susieinf
from varfx.finemap.tables import log10_p, scientific, set_table, variant_table
from varfx.prior.files import PriorInputs

POLYFUN = [
    "CHR",
    "SNP",
    "BP",
    "A1",
    "A2",
    "SNPVAR",
    "Z",
    "N",
    "P",
    "PIP",
    "BETA_MEAN",
    "BETA_SD",
    "DISTANCE_FROM_CENTER",
    "CREDIBLE_SET",
]
FINNGEN = [
    "trait",
    "region",
    "v",
    "rsid",
    "chromosome",
    "position",
    "allele1",
    "allele2",
    "maf",
    "beta",
    "se",
    "p",
    "mean",
    "sd",
    "prob",
    "cs",
    "cs_specific_prob",
    "low_purity",
    "lead_r2",
    "mean_99",
    "sd_99",
    "prob_99",
    "cs_99",
    "cs_specific_prob_99",
    "low_purity_99",
    "lead_r2_99",
]
CONFIG = FinemapConfig(loci=LocusConfig(flank=60_000, longest=400_000))


@pytest.fixture(scope="module")
def snpvar(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PolyFun's file: a variance five times larger at two of the causal variants."""
    variants = simulated.open().variants
    f = np.full(variants.height, 1e-5)
    f[[*CAUSAL]] = 5e-5
    path = tmp_path_factory.mktemp("snpvar") / "f.snpvar.gz"
    table = variants.select(
        CHR="chrom", SNP="variant_id", BP="position", A1="effect_allele", A2="other_allele", SNPVAR=pl.Series(f)
    )
    path.write_bytes(gzip.compress(table.write_csv(separator="\t").encode()))
    return path


@pytest.fixture(scope="module")
def mapping(simulated: Simulated, sparse_trait: Path, snpvar: Path) -> FineMapping:
    given = PriorInputs.of(panel=simulated.panel, sumstats=sparse_trait)
    return finemap(study_of_variances(snpvar, given), config=CONFIG)


def test_causal_variants_are_found_also_at_a_cores_edge(mapping: FineMapping) -> None:
    table = variant_table(mapping)
    found = table.filter(pl.col("set") > 0)["row"].to_list()
    assert {*CAUSAL, OTHER} <= set(found)
    assert len(mapping.loci) == 2
    assert mapping.loci[0].locus.start < 100_000 < mapping.loci[0].locus.end  # both sides of the edge
    assert not np.isin(np.arange(4, 480, 9), table["row"].to_numpy()).any()
    assert all(each.fit.converged for each in mapping.loci)
    best = table.sort("pip", descending=True).head(3)["row"].to_list()
    assert set(best) & {*CAUSAL, OTHER}


def test_learned_weights_move_probability_to_variants_of_large_variance(
    mapping: FineMapping, simulated: Simulated, sparse_trait: Path
) -> None:
    given = PriorInputs.of(panel=simulated.panel, sumstats=sparse_trait)
    uniform = finemap(study_without_prior(given), config=CONFIG)
    plain = variant_table(uniform)
    assert plain["f"].is_nan().all()
    np.testing.assert_array_equal(plain["pip"], plain["pip_uniform"])
    table = variant_table(mapping)
    np.testing.assert_allclose(table["pip_uniform"], plain["pip"], rtol=0, atol=1e-9)
    rows = table.filter(pl.col("row").is_in(CAUSAL))
    assert (rows["pip"] >= rows["pip_uniform"] - 1e-6).all()


def test_polyfuns_columns(mapping: FineMapping) -> None:
    table = polyfun.pip_table(mapping)
    assert table.columns == [*POLYFUN, "PIP_UNIFORM", "LBF", "LOCUS", "QC"]
    assert table["PIP"].is_sorted(descending=True)
    own = variant_table(mapping).sort("pip", descending=True, maintain_order=True)
    np.testing.assert_array_equal(table["Z"], own["z"])
    top = table.row(0, named=True)
    assert top["N"] == N
    assert float(top["P"]) == pytest.approx(10 ** log10_p(np.array([top["Z"]]))[0], rel=1e-5)
    assert abs(top["BETA_MEAN"] * np.sqrt(N) - top["Z"]) < 4
    assert 0 < top["BETA_SD"] < 5 / np.sqrt(N)


def test_tables_of_finngen(mapping: FineMapping) -> None:
    snp, cred = finngen.snp_table(mapping), finngen.cred_table(mapping)
    numbered = [f"{name}{i}" for name in ("alpha", "mean", "sd", "lbf_variable") for i in range(1, 11)]
    assert snp.columns == [*FINNGEN, *numbered]
    assert cred.columns == ["trait", "region", "cs", "cs_log10bf", "cs_avg_r2", "cs_min_r2", "low_purity", "cs_size"]
    in_sets = snp.filter(pl.col("cs") > 0).group_by("region", "cs").len().sort("region", "cs")
    sizes = cred.sort("region", "cs")
    assert in_sets["len"].to_list() == sizes["cs_size"].to_list()
    inclusion = 1 - np.prod([1 - snp[f"alpha{i}"].to_numpy() for i in range(1, 11)], axis=0)
    assert (snp["prob"].to_numpy() <= inclusion + 1e-9).all()  # which counts unused effects too
    maf = snp["maf"].to_numpy()
    z = snp["beta"].to_numpy() / snp["se"].to_numpy()
    np.testing.assert_allclose(z, variant_table(mapping)["z"], rtol=1e-9)
    np.testing.assert_allclose(snp["se"], 1 / np.sqrt(2 * maf * (1 - maf) * (N + z * z)), rtol=1e-9)


def test_tables_of_finemap_and_susie_inf(mapping: FineMapping) -> None:
    snp = finemap14.snp_table(mapping)
    assert snp.columns == [
        "index",
        "rsid",
        "chromosome",
        "position",
        "allele1",
        "allele2",
        "maf",
        "beta",
        "se",
        "z",
        "prob",
        "log10bf",
        "mean",
        "sd",
        "mean_incl",
        "sd_incl",
    ]
    assert snp["prob"].is_sorted(descending=True)
    known = snp.filter(pl.col("prob") > 1e-3)
    np.testing.assert_allclose(known["mean_incl"] * known["prob"], known["mean"], rtol=1e-6)
    inf = susieinf.inf_table(mapping)
    numbered = [f"{name}{i}" for name in ("alpha", "mu", "omega", "lbf_variable") for i in range(1, 11)]
    first = ["chromosome", "position", "rsid", "allele1", "allele2", "maf", "beta", "se", "p", "z", "prob"]
    assert inf.columns == [*first, *numbered, "alpha", "post_mean", "tausq", "sigmasq", "cs", "locus"]
    assert set(inf["cs"].unique()) >= {-1, 1}
    sparse = sum(inf[f"alpha{i}"].to_numpy() * inf[f"mu{i}"].to_numpy() for i in range(1, 11))
    np.testing.assert_allclose(inf["post_mean"], sparse + inf["alpha"].to_numpy(), rtol=0, atol=1e-12)


def test_finngen_calls_a_set_impure_below_an_r2_of_a_quarter(mapping: FineMapping) -> None:
    """`low_purity` is 1 where the smallest |r| is below 0.5, as FinnGen's and the eQTL Catalogue's pipelines have it."""
    each = next(one for one in mapping.loci if one.sets)
    for purity, expected in ((0.49, 1), (0.51, 0)):
        sets = [replace(each.sets[0], purity=purity)]
        changed = replace(mapping, loci=[replace(each, sets=sets)])
        assert finngen.cred_table(changed)["low_purity"].to_list() == [expected]
        assert set(finngen.snp_table(changed).filter(pl.col("cs") == 1)["low_purity"]) == {expected}


def test_open_targets_fields_are_gentropys() -> None:
    """Names and types of `study_locus.json` of opentargets/gentropy."""
    assert {name: str(dtype) for name, dtype in opentargets.SCHEMA.items() if name != "locus"} == {
        **dict.fromkeys(
            ["studyLocusId", "studyId", "variantId", "chromosome", "region", "finemappingMethod", "confidence"],
            "String",
        ),
        **dict.fromkeys(
            ["position", "pValueExponent", "credibleSetIndex", "locusStart", "locusEnd", "sampleSize"], "Int32"
        ),
        **dict.fromkeys(
            ["beta", "zScore", "standardError", "credibleSetlog10BF", "purityMeanR2", "purityMinR2"], "Float64"
        ),
        "pValueMantissa": "Float32",
        "qualityControls": "List(String)",
    }
    members = opentargets.SCHEMA["locus"]
    assert isinstance(members, pl.List)
    assert isinstance(members.inner, pl.Struct)
    assert {field.name: str(field.dtype) for field in members.inner.fields} == {
        **dict.fromkeys(["is95CredibleSet", "is99CredibleSet"], "Boolean"),
        **dict.fromkeys(["logBF", "posteriorProbability", "beta", "standardError", "r2Overall"], "Float64"),
        "variantId": "String",
        "pValueMantissa": "Float32",
        "pValueExponent": "Int32",
    }


def test_study_loci_of_open_targets(mapping: FineMapping) -> None:
    table = opentargets.study_loci(mapping)
    sets = set_table(mapping)
    assert table.height == sets.height
    assert table["studyLocusId"].n_unique() == table.height
    for row, one in zip(table.iter_rows(named=True), sets.iter_rows(named=True), strict=True):
        members = row["locus"]
        assert sum(each["is95CredibleSet"] for each in members) == one["n"]
        assert sum(each["posteriorProbability"] for each in members) >= 0.99
        assert row["credibleSetlog10BF"] == pytest.approx(one["log10bf"])
        assert row["pValueMantissa"] * 10.0 ** row["pValueExponent"] < 1e-6
        assert all(0 <= each["r2Overall"] <= 1 for each in members)
        assert row["locusStart"] < row["position"] <= row["locusEnd"]


def test_written_files(mapping: FineMapping, tmp_path: Path) -> None:
    paths = write_files(mapping, tmp_path / "F", formats=("finngen", "finemap", "susieinf", "opentargets"))
    assert {path.name for path in paths} == {path.name for path in tmp_path.iterdir()}
    pip = pl.read_csv(tmp_path / "F.pip.tsv.gz", separator="\t", null_values="NA")
    assert pip.height == sum(int(each.reported.sum()) for each in mapping.loci)
    lines = gzip.decompress((tmp_path / "F.pip.tsv.gz").read_bytes()).decode().splitlines()
    number = lines[0].split("\t").index("PIP")
    assert [line.split("\t")[number] for line in lines[1:4]] == [f"{value:.5e}" for value in pip["PIP"][:3]]
    assert '"' not in (tmp_path / "F.loci.tsv").read_text()
    loci = pl.read_csv(tmp_path / "F.loci.tsv", separator="\t", null_values="NA")
    assert loci["n_sets"].sum() == pl.read_csv(tmp_path / "F.cs.tsv", separator="\t").height
    names = "locus chrom start end n_variants lead p L_used converged sigma2 kappa s_rss energy_z energy_p Q_art lambda_mismatch qc"
    assert set(names.split()) <= set(loci.columns)
    record = json.loads((tmp_path / "F.json").read_text())
    assert record["n_loci"] == 2
    assert any("is not known" in note for note in record["notes"])
    assert record["provenance"]["inputs"]["panel"]["sha256"]
    with pytest.raises(ConfigError, match="`format` bed is unknown"):
        write_files(mapping, tmp_path / "G", formats=("bed",))
    assert not list(tmp_path.glob("G*"))


def test_small_p_values_are_written_in_full() -> None:
    (tiny,) = scientific(log10_p(np.array([60.0])))
    mantissa, exponent = tiny.split("e")
    assert exponent == "-784"
    assert 1 <= float(mantissa) < 10
    assert scientific(log10_p(np.array([0.0]))) == ["1.00000e+00"]
    assert scientific(np.log10(np.array([9.999999e-5]))) == ["1.00000e-04"]


def test_variants_without_a_variance_are_refused_or_noted(
    simulated: Simulated, sparse_trait: Path, snpvar: Path, tmp_path: Path
) -> None:
    rows = pl.read_csv(snpvar, separator="\t")
    rows.filter(pl.col("SNP") != "rs35").write_csv(tmp_path / "f.txt", separator="\t")
    given = PriorInputs.of(panel=simulated.panel, sumstats=sparse_trait)
    with pytest.raises(DataError, match=r"1 of 427 variants .* first 1:88750 rs35"):
        study_of_variances(tmp_path / "f.txt", given)
    study = study_of_variances(tmp_path / "f.txt", given, allow_missing=True)
    assert study.f is not None
    assert study.f[35] == 0
    assert "hardly be found causal" in study.notes[0]


def test_no_significant_association(simulated: Simulated) -> None:
    given = PriorInputs.of(panel=simulated.panel, sumstats=simulated.height)
    with pytest.raises(DataError, match=r"no association on the panel reaches p = 1e-200"):
        finemap(study_without_prior(given), config=FinemapConfig(loci=LocusConfig(lead_p=1e-200)))


def test_a_fixed_background_and_the_finite_reference_are_used(
    simulated: Simulated, sparse_trait: Path, snpvar: Path
) -> None:
    given = PriorInputs.of(panel=simulated.panel, sumstats=sparse_trait)
    config = FinemapConfig(loci=CONFIG.loci, noise=NoiseConfig(background=0.5, finite_reference="off"))
    fixed = finemap(study_of_variances(snpvar, given), config=config)
    assert [each.fit.kappa for each in fixed.loci] == [0.5, 0.5]
    assert all(each.fit.mismatch is None for each in fixed.loci)
    auto = finemap(study_of_variances(snpvar, given), config=CONFIG)  # 200 individuals, N = 100,000
    assert all(each.fit.mismatch is not None for each in auto.loci)
    assert [each.fit.kappa for each in auto.loci] == [0.0, 0.0]
    learned = finemap(
        study_of_variances(snpvar, given),
        config=FinemapConfig(loci=CONFIG.loci, noise=NoiseConfig(finite_reference="off")),
    )
    assert all(each.fit.mismatch is None for each in learned.loci)
    assert all(0 <= each.fit.kappa <= 1 for each in learned.loci)


def test_moments_and_backgrounds_without_a_prior(simulated: Simulated, sparse_trait: Path) -> None:
    study = study_without_prior(PriorInputs.of(panel=simulated.panel, sumstats=sparse_trait))
    noise = NoiseConfig(background="learn", residual_variance="free", finite_reference="off")
    found = finemap(study, config=FinemapConfig(loci=CONFIG.loci, noise=noise))
    assert all(each.fit.sigma2 != 1 for each in found.loci)
    for each in found.loci:
        assert each.background_variance == pytest.approx(each.fit.kappa / (each.n - 1))
    assert set(susieinf.inf_table(found)["tausq"]) == {each.background_variance for each in found.loci}
    with pytest.raises(ConfigError, match="--uniform has none"):
        finemap(study, config=FinemapConfig(loci=CONFIG.loci, noise=NoiseConfig(background=0.5)))


def test_overlapping_loci_are_reported_each(simulated: Simulated, sparse_trait: Path, tmp_path: Path) -> None:
    (tmp_path / "L.bed").write_text("chr1\t0\t150000\nchr1\t50000\t200000\nchr1\t0\t150000\nchr1\t390000\t900000\n")
    study = study_without_prior(PriorInputs.of(panel=simulated.panel, sumstats=sparse_trait))
    found = finemap(study, bed=tmp_path / "L.bed")
    assert [each.locus.name for each in found.loci] == ["chr1_0_150000", "chr1_50000_200000", "chr1_390000_900000"]
    table = variant_table(found)
    assert (table["row"].is_duplicated().sum()) > 0
    assert not table.select("locus", "row").is_duplicated().any()
    paths = write_files(found, tmp_path / "F", formats=("finngen", "finemap", "susieinf", "opentargets"))
    assert all(path.is_file() for path in paths)
    assert any(note.startswith("1 of 3 loci overlap") for note in found.notes)
    assert any("no LD for more than half of 1 of 3 loci" in note for note in found.notes)


def test_sample_sizes_that_vary_are_noted(simulated: Simulated, tmp_path: Path) -> None:
    n = np.where(np.arange(480) % 2, 1e5, 6e4)
    path = write_sparse_trait(simulated, tmp_path / "S.parquet", n=n)
    given = PriorInputs.of(panel=simulated.panel, sumstats=path)
    found = finemap(study_without_prior(given), config=CONFIG)
    assert all(each.uneven_n > 0.2 for each in found.loci)
    assert any(note.startswith("sample sizes vary by more than 10 % in 2 loci, first") for note in found.notes)
    table = polyfun.pip_table(found)
    assert set(table["N"]) == {100_000, 60_000}
