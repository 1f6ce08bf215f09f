from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.web import serving
from varfx.errors import ConfigError, DataError, FormatError
from varfx.genome.variants import SCHEMA
from varfx.genotypes.ld_source import CorrelationSource, GenotypeSource
from varfx.genotypes.ldgm import NUM_PEOPLE, Ldgm, correlation_of, precision_matrix
from varfx.genotypes.open_ld import open_source

HEADER = "chrom,chromStart,chromEnd,name,snplistName,population,numVariants,numIndices,numEntries,info\n"
SITES = "index,anc_alleles,deriv_alleles,EUR,AFR,site_ids,position,swap\n"


def precision(rng: np.random.Generator, size: int) -> np.ndarray:
    L = np.tril(rng.normal(size=(size, size)) * (rng.random((size, size)) < 0.3), -1)
    np.fill_diagonal(L, 1 + rng.random(size))
    return np.round(L @ L.T, 6)


def correlation(P: np.ndarray) -> np.ndarray:
    C = np.linalg.inv(P)
    return np.asarray(C / np.sqrt(np.outer(np.diag(C), np.diag(C))))


def edges_of(P: np.ndarray, names: np.ndarray) -> str:
    """One half and the diagonal, in the indexes' names."""
    pairs = [(i, j) for i in range(len(P)) for j in range(i, len(P)) if P[i, j] != 0]
    return "".join(f"{names[i]},{names[j]},{P[i, j]:.6f}\n" for i, j in pairs)


def site(
    index: int, position: int, *, alleles: str = "C,T", eur: float = 0.3, name: str = "rs", swap: str = "+"
) -> str:
    return f"{index},{alleles},{eur},0.5,{name}{position},{position},{swap}\n"


@pytest.fixture
def P(rng: np.random.Generator) -> list[np.ndarray]:
    return [precision(rng, 6), precision(rng, 4)]


@pytest.fixture
def folder(tmp_path: Path, P: list[np.ndarray]) -> Path:
    """Two blocks: indexes 0, 2, 3, 5, 6, 9 of ten are present in the first, all four in the second."""
    names = np.array([0, 2, 3, 5, 6, 9])
    (tmp_path / "one.EUR.edgelist").write_text(edges_of(P[0], names))
    (tmp_path / "one.snplist").write_text(
        SITES + "".join(site(index, 100 + index, swap="-" if index % 2 else "+") for index in range(10)) + site(5, 50)
    )
    (tmp_path / "two.EUR.edgelist").write_text(edges_of(P[1], np.arange(4)))
    (tmp_path / "two.snplist").write_text(SITES + "".join(site(index, 2000 - index) for index in range(4)))
    rows = [
        f"chr7,{start},{start + 1000},{n}.EUR.edgelist,{n}.snplist,EUR,4,4,9,\n"
        for start, n in ((0, "one"), (1000, "two"))
    ]
    (tmp_path / "metadata.csv").write_text(HEADER + "".join(rows))
    return tmp_path


def test_correlations_are_the_scaled_inverse_and_zero_between_blocks(folder: Path, P: list[np.ndarray]) -> None:
    source = Ldgm(folder)
    assert source.variants["position"].to_list() == [50, 100, 102, 103, 105, 106, 109, 1997, 1998, 1999, 2000]
    R = np.zeros((11, 11))
    nodes = [3, 0, 1, 2, 3, 4, 5]  # the variant at 50 shares the index of the one at 105
    R[:7, :7] = correlation(P[0])[np.ix_(nodes, nodes)]
    R[7:, 7:] = correlation(P[1])[::-1, ::-1]
    core, panel = np.array([2, 4, 8, 0]), np.arange(11)
    square, cross = source.correlation(core, panel)
    assert square.dtype == cross.dtype == np.float32
    np.testing.assert_allclose(square, R[np.ix_(core, core)], atol=1e-6)
    np.testing.assert_allclose(cross, R[core], atol=1e-6)
    assert cross[1, 0] == 1.0


def test_what_it_says_of_itself(folder: Path) -> None:
    source = Ldgm(folder / "metadata.csv")
    assert isinstance(source, CorrelationSource)
    assert not isinstance(source, GenotypeSource)
    assert source.variants.schema == pl.Schema(SCHEMA)
    assert source.variants.row(0) == ("7", 50, "rs50", "T", "C", 0.3)  # the derived allele, whatever `swap` says
    assert source.variants["effect_allele"].unique().to_list() == ["T"]
    assert source.num_people == NUM_PEOPLE["EUR"] == 503
    assert Ldgm(folder, num_people=77).num_people == 77
    assert {e["step"]: e["count"] for e in source.ledger if e["count"]} == {"index absent in the population": 4}
    assert source.missing == ()
    core, panel = source.select("7", 102, 106, 3)
    assert source.variants["position"].gather(core).to_list() == [103, 105, 106]
    assert source.variants["position"].gather(panel).to_list() == [100, 102, 103, 105, 106, 109]


def test_one_per_index_keeps_the_first_of_the_list(folder: Path) -> None:
    source = Ldgm(folder, one_per_index=True)
    assert source.variants["position"].head(3).to_list() == [100, 102, 103]
    assert {e["step"]: e["count"] for e in source.ledger}["shares its index with an earlier variant"] == 1


def test_filters_are_counted(folder: Path) -> None:
    sites = [
        site(0, 1, eur=0.0),
        site(0, 2, eur=1.0),
        site(0, 3, eur=0.009),
        site(0, 4, eur=0.995),
        site(0, 5, alleles="C,<X>"),
    ]
    sites += [
        site(0, 6, eur=0.01),
        site(0, 6, alleles="T,C"),
        site(0, 7, name=""),
        site(1, 8),
        site(9, 9, alleles="c,t"),
    ]
    (folder / "one.snplist").write_text(SITES + "".join(sites).replace(",7,7,", ",,7,"))
    source = Ldgm(folder, maf=0.01)
    assert source.variants["position"].head(3).to_list() == [6, 7, 9]
    assert source.variants["variant_id"].head(2).to_list() == ["rs6", None]
    assert [entry["count"] for entry in source.ledger] == [1, 1, 2, 2, 0, 1]


def test_pickled_source_solves_the_same(folder: Path) -> None:
    source = Ldgm(folder)
    index = np.arange(11)
    before = len(pickle.dumps(source))
    expected = source.correlation(index, index)[1]
    content = pickle.dumps(source)
    assert len(content) == before
    assert np.array_equal(pickle.loads(content).correlation(index, index)[1], expected)


def test_blocks_are_solved_once_while_they_are_in_memory(folder: Path) -> None:
    source = Ldgm(folder)
    index = np.arange(11)
    expected = source.correlation(index, index)[1]
    for name in ("one", "two"):
        (folder / f"{name}.EUR.edgelist").unlink()
    assert np.array_equal(source.correlation(index, index)[1], expected)


def test_several_populations_need_a_choice(folder: Path) -> None:
    metadata = folder / "metadata.csv"
    with open(metadata, "a") as file:
        file.write("7,0,1000,one.EUR.edgelist,one.snplist,AFR,4,4,9,\n")
    with pytest.raises(ConfigError, match=r"`population` must be chosen: `.*metadata\.csv` holds AFR, EUR\."):
        Ldgm(folder)
    with pytest.raises(ConfigError, match=r"`population` 'EAS' is not in `.*`, which holds AFR, EUR\."):
        Ldgm(folder, population="EAS")
    african = Ldgm(folder, population="AFR")
    assert african.num_people == 661
    assert african.variants["eaf"].to_list() == [0.5] * 7
    assert Ldgm(folder, population="EUR").variants.height == 11
    metadata.write_text(metadata.read_text().replace("EUR,", "XYZ,"))
    with pytest.raises(ConfigError, match=r"`num_people` must be given: the size of population XYZ is not known\."):
        Ldgm(folder, population="XYZ")


def test_blocks_that_are_not_there_are_missing_regions(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "two.EUR.edgelist").unlink()
    source = Ldgm(folder)
    assert source.variants.height == 7
    assert [(m.chrom, m.start, m.end, m.reason) for m in source.missing] == [
        ("7", 1000, 2000, "two.EUR.edgelist is missing")
    ]
    assert "two.EUR.edgelist is missing" in caplog.text
    (folder / "one.snplist").unlink()
    with pytest.raises(
        FormatError, match=r"none of its 2 blocks is there, first: one\.snplist is missing\. Fetch them\."
    ):
        Ldgm(folder)


@pytest.mark.parametrize(
    ("name", "content", "error", "match"),
    [
        ("metadata.csv", "", FormatError, r"is empty: it should list blocks"),
        (
            "metadata.csv",
            "chrom,name\n7,x\n",
            FormatError,
            r"4 columns are missing from its header, first `chromStart`",
        ),
        ("metadata.csv", HEADER, FormatError, r"lists no blocks"),
        (
            "metadata.csv",
            HEADER + "7,x,9,n,s,EUR,,,,\n",
            FormatError,
            r"`chromStart` is not a whole number in 1 of 1 rows",
        ),
        ("one.snplist", SITES.replace("EUR", "EAS") + site(0, 1), FormatError, r"missing from its header, first `EUR`"),
        (
            "one.snplist",
            SITES + site(0, 1) + "0,C\n",
            FormatError,
            r"8 columns are expected, but 1 of 2 rows .* first row 2",
        ),
        ("one.snplist", SITES + site(0, 1, eur=float("nan")), FormatError, r"`EUR` is not a number in 1 of 1 rows"),
        ("one.snplist", SITES + site(5, 1), FormatError, r"has the index 9, but `.*one\.snplist` ends at 5\."),
        ("one.EUR.edgelist", "", FormatError, r"is empty: it should list entries"),
        ("one.EUR.edgelist", "0,0\n", FormatError, r"3 columns are expected, but 1 of 1 rows have another number"),
        ("one.EUR.edgelist", "0,0,1\n0,a,1\n", FormatError, r"`j` is not a whole number in 1 of 2 rows, first row 2"),
        ("one.EUR.edgelist", "0,0,inf\n", FormatError, r"`value` is not a number in 1 of 1 rows"),
        ("one.EUR.edgelist", "0,0,1\n0,1,0.5\n", FormatError, r"1 of 2 entries belong to an index without a diagonal"),
        ("one.EUR.edgelist", "0,1,0.5\n", FormatError, r"1 of 1 entries belong to an index without a diagonal"),
        ("one.EUR.edgelist", "0,0,1\n1,1,1\n0,1,.1\n1,0,.1\n", FormatError, r"1 pairs of indexes stand more than once"),
    ],
)
def test_damaged_files_are_one_line_errors(
    folder: Path, name: str, content: str, error: type[Exception], match: str
) -> None:
    (folder / name).write_text(content)
    with pytest.raises(error, match=match) as caught:
        Ldgm(folder)
    assert "\n" not in str(caught.value)


def test_nothing_left(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no variant of EUR passes the filters\. Lower --maf\."):
        Ldgm(folder, maf=0.4)
    with pytest.raises(ConfigError, match=r"`maf` must be at least 0 and below 0\.5, got 0\.5"):
        Ldgm(folder, maf=0.5)


@pytest.mark.parametrize("block", ["0,0,1\n1,1,1\n0,1,2\n", "0,0,-1\n1,1,1\n", "0,0,1\n1,1,1\n0,1,1\n"])
def test_matrices_that_are_not_positive_definite_are_refused(tmp_path: Path, block: str) -> None:
    path = tmp_path / "x.edgelist"
    path.write_text(block)
    with pytest.raises(DataError, match=r"its precision matrix of 2 indexes is not positive definite\."):
        correlation_of(precision_matrix(path)[1], path)


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Ldgm:
    return Ldgm(shared_data / "ldgm")  # shared, so that its block is solved once


@pytest.mark.shared_data
def test_the_published_block(shared_data: Path, published: Ldgm, rng: np.random.Generator) -> None:
    folder = shared_data / "ldgm"
    assert published.variants.height + sum(entry["count"] for entry in published.ledger) == 14_357
    present, P = precision_matrix(folder / "1kg_chr1_16103_2888443.EUR.edgelist")
    assert present.size == 5239

    core, panel = published.select("1", 1_000_000, 1_500_000, 500_000)
    square, cross = published.correlation(core, panel)
    assert (square.diagonal() == 1).all()
    assert np.array_equal(cross[:, np.searchsorted(panel, core)], square)
    assert np.linalg.eigvalsh(square.astype(np.float64))[0] > -1e-5  # singular: some variants share an index

    some = rng.choice(core, 200, replace=False)
    nodes, place = np.unique(published._node[some], return_inverse=True)
    C = np.linalg.solve(P.toarray(), np.eye(present.size)[:, nodes])[nodes]
    R = C / np.sqrt(np.outer(C.diagonal(), C.diagonal()))
    np.testing.assert_allclose(published.correlation(some, some)[0], R[np.ix_(place, place)], atol=2e-6)
    frequencies = pl.read_csv(folder / "1kg_chr1_16103_2888443.snplist")["EUR"].to_numpy()
    people = 2 * published.num_people
    assert np.abs(np.round(frequencies * people) / people - frequencies).max() < 5.1e-5  # printed with 4 digits


@pytest.mark.shared_data
def test_signs_refer_to_the_derived_allele_whatever_swap_says(shared_data: Path, published: Ldgm) -> None:
    """Height associations of UK Biobank agree with R only if z is that of the derived allele."""
    source = published
    gwas = pl.read_csv(shared_data / "ldgm" / "example.sumstats", separator="\t")
    joined = source.variants.with_row_index("index").join(gwas, left_on="variant_id", right_on="SNP")
    same = ((joined["A1"] == joined["effect_allele"]) & (joined["A2"] == joined["other_allele"])).to_numpy()
    turned = ((joined["A2"] == joined["effect_allele"]) & (joined["A1"] == joined["other_allele"])).to_numpy()
    z = (joined["Beta"] / joined["se"]).to_numpy()
    index = joined["index"].to_numpy()[same | turned]
    z = np.where(same, z, -z)[same | turned]
    R = source.correlation(index, index)[0]
    unlike = np.triu(np.not_equal.outer(same[same | turned], same[same | turned]), 1) & (np.abs(R) > 0.5)
    agree = (np.sign(np.outer(z, z)) == np.sign(R))[unlike]
    assert agree.size > 1000
    assert agree.mean() > 0.9


def test_a_server_s_models_are_those_of_a_folder(folder: Path) -> None:
    local, everything = Ldgm(folder), np.arange(11)
    with serving(folder.parent) as web:
        for address in (f"{web}/{folder.name}", f"{web}/{folder.name}/metadata.csv"):
            source = pickle.loads(pickle.dumps(open_source(address)))
            assert source.name == address
            assert source.variants.equals(local.variants)
            for here, there in zip(
                local.correlation(everything, everything), source.correlation(everything, everything), strict=True
            ):
                np.testing.assert_array_equal(here, there)
        (folder / "two.EUR.edgelist").write_text("0,0,-1\n1,1,1\n2,2,1\n3,3,1\n")
        source = open_source(f"{web}/{folder.name}")
        with pytest.raises(DataError, match=rf"`{web}/{folder.name}/two.EUR.edgelist`: its precision matrix of 4"):
            source.correlation(everything, everything)  # type: ignore[attr-defined]
