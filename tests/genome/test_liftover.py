"""Lift-over by chain files: hand-made chains against a table of every base."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.tracks import use_small_genome
from varfx.errors import DataError, FormatError
from varfx.genome.liftover import ChainFile, read_chain

# hg19 chr1 (2011 bases) to hg38 chr1 (2100) and chr2 (705), as UCSC writes it:
FORWARD = """chain 1000 chr1 2011 + 100 160 chr1 2100 + 205 268 1
20 5 10
10 3 1
22

"""  # blocks [100, 120) -> 205.., [125, 135) -> 235.., [138, 160) -> 246..
REVERSE = """chain 500 chr1 2011 + 1000 1030 chr2 705 - 5 33 2
10 2 0
18
"""  # on the - strand of chr2: base 5 there is base 705 - 1 - 5 = 699 of the + strand
NESTED = """chain 900 chr1 2011 + 118 127 chr2 705 + 300 309 3
9
"""  # overlaps the end of FORWARD's first block, its gap [120, 125), and the start of the second
ELSEWHERE = """chain 2000 chr1 2011 + 300 310 chr1_KI270706v1_random 5000 + 0 10 4
10
"""
BELOW = """chain 10 chr1 2011 + 295 312 chr1 2100 + 1500 1517 5
17
"""


def oracle() -> dict[int, tuple[str, int, bool]]:
    """1-based hg19 position -> place; by hand from the chains above, lowest score first."""
    table: dict[int, tuple[str, int, bool]] = {}
    table |= {295 + i + 1: ("1", 1500 + i + 1, True) for i in range(17)}
    table |= {1000 + i + 1: ("2", 705 - (5 + i), False) for i in range(10)}
    table |= {1012 + i + 1: ("2", 705 - (15 + i), False) for i in range(18)}
    table |= {118 + i + 1: ("2", 300 + i + 1, True) for i in range(9)}
    for start, size, there in ((100, 20, 205), (125, 10, 235), (138, 22, 246)):
        table |= {start + i + 1: ("1", there + i + 1, True) for i in range(size)}
    for position in range(301, 311):
        del table[position]  # the best chain leads to a contig: no lower chain may answer in its place
    return table


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_genome(monkeypatch)


def chain(tmp_path: Path, *stanzas: str, name: str = "a.over.chain") -> ChainFile:
    text = "# a comment\n" + "\n".join(stanzas)
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return read_chain(path)


def variants(positions: list[int], chrom: str = "1") -> pl.DataFrame:
    return pl.DataFrame(
        {"chrom": [chrom] * len(positions), "position": positions}, schema={"chrom": pl.String, "position": pl.Int64}
    )


@pytest.mark.parametrize("name", ["a.over.chain", "a.over.chain.gz"])
def test_every_base_has_the_place_of_the_table(tmp_path: Path, name: str, rng: np.random.Generator) -> None:
    lift = chain(tmp_path, NESTED, BELOW, FORWARD, ELSEWHERE, REVERSE, name=name)
    positions = rng.permutation(np.arange(1, 2012)).tolist()
    lifted = lift.lift(variants(positions))
    expected = oracle()
    assert len(expected) == 52 + 28 + 5 + 7
    for row, position in enumerate(positions):
        if position in expected:
            assert lifted.mapped[row]
            assert (lifted.chrom[row], lifted.position[row], lifted.forward[row]) == expected[position]
        else:
            assert not lifted.mapped[row]
            assert (lifted.chrom[row], lifted.position[row]) == (None, 0)


def test_bases_of_the_reverse_strand_by_hand(tmp_path: Path) -> None:
    lifted = chain(tmp_path, REVERSE).lift(variants([1000, 1001, 1002, 1010, 1011, 1012, 1013, 1030, 1031]))
    assert lifted.position.tolist() == [0, 700, 699, 691, 0, 0, 690, 673, 0]
    assert lifted.chrom.to_list() == [None, "2", "2", "2", None, None, "2", "2", None]
    assert lifted.forward[lifted.mapped].tolist() == [False] * 5


def test_several_chromosomes_repeats_and_strangers(tmp_path: Path) -> None:
    second = FORWARD.replace("chr1 2011", "chr2 700")
    lift = chain(tmp_path, FORWARD, second)
    frame = pl.DataFrame({"chrom": ["2", "X", "1", "2", "1"], "position": [101, 101, 126, 101, 1]})
    lifted = lift.lift(frame)
    assert lifted.position.tolist() == [206, 0, 236, 206, 0]
    assert not lift.lift(frame.clear()).mapped.size


def test_lifting_there_and_back_is_the_identity(tmp_path: Path) -> None:
    there = chain(tmp_path, FORWARD, REVERSE)
    back = chain(
        tmp_path,
        "chain 1 chr1 2100 + 205 268 chr1 2011 + 100 160 1\n20 10 5\n10 1 3\n22\n",
        # chr2 of hg38 on its + strand, which is the - strand of hg19's chr1
        "chain 1 chr2 705 + 672 700 chr1 2011 - 981 1011 2\n18 0 2\n10\n",
        name="back.chain",
    )
    start = variants([*range(101, 161), *range(1001, 1031)])
    first = there.lift(start)
    middle = pl.DataFrame({"chrom": first.chrom, "position": first.position}).filter(pl.Series(first.mapped))
    last = back.lift(middle)
    assert last.mapped.all()
    np.testing.assert_array_equal(last.position, start["position"].to_numpy()[first.mapped])
    assert there.from_builds == back.to_builds == ("hg19",)


def test_which_builds_it_joins(tmp_path: Path) -> None:
    lift = chain(tmp_path, FORWARD, REVERSE)
    assert (lift.from_builds, lift.to_builds) == (("hg19",), ("hg38",))
    lift.require_target("hg38")
    with pytest.raises(DataError, match=r"`.*a.over.chain` leads to hg38, but hg19 is needed"):
        lift.require_target("hg19")
    with pytest.raises(DataError, match="leads to neither hg19 nor hg38, but hg38 is needed"):
        chain(tmp_path, FORWARD.replace("2100", "2999")).require_target("hg38")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no chain of a human chromosome"),
        (FORWARD.replace("chr1 2011", "chrUn 2011"), "holds no chain of a human chromosome"),
        ("chr1\t5\t9\n", "is no chain file: line 1 is no header"),
        (FORWARD.rsplit("22", 1)[0], "the chain of line 1 has blocks that do not add up to its ends: it is truncated"),
        (FORWARD.replace("20 5 10", "21 5 10"), "the chain of line 1 has blocks that do not add up"),
        (FORWARD.replace("20 5 10", "20 5"), "the chain of line 1 cannot be read"),
        (FORWARD.replace("20 5 10", "20 x 10"), "the chain of line 1 cannot be read: invalid literal"),
        ("chain 5 chr1\n5\n", "the chain of line 1 cannot be read"),
        (FORWARD.replace("2011 +", "2011 -"), "the chain of line 1 has the strands '-' and"),
        (FORWARD.replace("2011 +", "150 +"), "the chain of line 1 ends behind the end of its chromosome"),
        (FORWARD.replace("2100 +", "210 +"), "the chain of line 1 ends behind the end of its chromosome"),
    ],
)
def test_faults(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.chain"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        read_chain(path)


def test_absent_and_cut_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read: No such file"):
        read_chain(tmp_path / "absent.chain.gz")
    (tmp_path / "cut.chain.gz").write_bytes(gzip.compress(FORWARD.encode())[:-9])
    with pytest.raises(FormatError, match="cannot be decompressed"):
        read_chain(tmp_path / "cut.chain.gz")
