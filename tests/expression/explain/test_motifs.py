"""Motifs: p-values are those of enumeration, hits are memelite's, and both alleles are scored as if spelled out."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from varfx.errors import FormatError
from varfx.expression.explain.config import ExplainConfig
from varfx.expression.explain.disruption import Sites, disruptions, site
from varfx.expression.explain.motifs import Motif, read_meme

GOLDEN = Path(__file__).parents[2] / "golden"
LETTERS = "ACGT"
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def random_motif(width: int, seed: int, background: tuple[float, ...] = (0.25,) * 4) -> Motif:
    rng = np.random.default_rng(seed)
    return Motif(f"m{width}", "", rng.dirichlet(np.ones(4) * 0.4, size=width), background)


@pytest.mark.parametrize("width", [1, 2, 4, 6])
@pytest.mark.parametrize("background", [(0.25,) * 4, (0.3, 0.2, 0.15, 0.35)])
def test_p_is_that_of_enumeration(width: int, background: tuple[float, ...]) -> None:
    motif = random_motif(width, width, background)
    words = list(itertools.product(range(4), repeat=width))
    scores = np.array([sum(motif.tenths[place, base] for place, base in enumerate(word)) for word in words])
    share = np.array([np.prod([background[base] for base in word]) for word in words])
    for score in np.unique(scores):
        assert motif.p(np.array([score / 10]))[0] == pytest.approx(share[scores >= score].sum(), abs=1e-12)
    real = np.array([sum(motif.scores[place, base] for place, base in enumerate(word)) for word in words])
    assert motif.range == pytest.approx((real.min(), real.max()))


def test_hits_are_memelites() -> None:
    """On 20,000 random bases, both strands; the golden file says how it was made."""
    golden = json.loads((GOLDEN / "memelite_hits.json").read_text())
    codes = np.random.default_rng(3).integers(0, 4, 20_000)
    for width, expected in golden["hits"].items():
        motif, mine = random_motif(int(width), int(width)), []
        for strand, matrix in (("+", motif), ("-", motif.reversed)):
            count = codes.size - motif.width + 1
            p = matrix.p(sum(matrix.scores[place, codes[place : place + count]] for place in range(motif.width)))
            mine += [(int(start), strand, p[start]) for start in np.flatnonzero(p < expected["threshold"])]
        assert [list(hit[:2]) for hit in sorted(mine)] == expected["hits"]
        np.testing.assert_allclose([hit[2] for hit in sorted(mine)], expected["p"], rtol=1e-6)


def slow_best(motif: Motif, left: str, allele: str, right: str) -> tuple[float, float]:
    """Best score and its p, over windows that touch the allele (or span the gap), both strands."""
    flank = motif.width - 1
    text = left[len(left) - flank :] + allele + right[:flank]
    found = []
    for start in range(len(text) - motif.width + 1):
        word = text[start : start + motif.width]
        for turned in (word, word[::-1].translate(COMPLEMENT)):
            codes = [LETTERS.index(letter) for letter in turned]
            real = sum(motif.scores[place, base] for place, base in enumerate(codes))
            found.append((real, motif.p(np.array([real]))[0]))
    return max(found)


@pytest.mark.parametrize(
    ("ref", "alt"), [("A", "G"), ("AC", "A"), ("A", "ACGT"), ("GATTACA", "GA"), ("CT", "GA"), ("A", "AAAA")]
)
def test_both_alleles_as_spelled_out(ref: str, alt: str) -> None:
    rng = np.random.default_rng(7)
    motifs = [random_motif(width, seed) for width in (5, 9) for seed in range(4)]
    motifs = [Motif(f"m{k}", "x", motif.probabilities) for k, motif in enumerate(motifs)]
    text = "".join(rng.choice(list(LETTERS), 60))
    text = text[:30] + ref + text[30 + len(ref) :]
    codes = np.array([LETTERS.index(letter) for letter in text], np.uint8)
    left, right, short_ref, short_alt = site(codes, 30, ref, alt, 8)
    config = ExplainConfig(motif_p=1.0, strong_p=1.0)
    found = disruptions(Sites(left[None], right[None], (short_ref,), (short_alt,)), motifs, config)
    before = len(ref) - len(ref.lstrip()) if ref == alt else 0
    while ref[-1:] == alt[-1:] and ref and alt:
        ref, alt = ref[:-1], alt[:-1]
    while ref[:1] == alt[:1] and ref and alt:
        ref, alt, before = ref[1:], alt[1:], before + 1
    start = 30 + before
    assert (short_ref, short_alt) == (ref, alt)
    by_name = {row["motif"]: row for row in found.iter_rows(named=True)}
    for motif in motifs:
        one = slow_best(motif, text[:start], ref, text[start + len(ref) :])
        other = slow_best(motif, text[:start], alt, text[start + len(ref) :])
        if motif.name not in by_name:
            assert one[0] == pytest.approx(other[0])
            continue
        row = by_name[motif.name]
        assert (row["score_ref"], row["p_ref"]) == pytest.approx(one)
        assert (row["score_alt"], row["p_alt"]) == pytest.approx(other)
        assert row["delta"] == pytest.approx(other[0] - one[0])
        assert row["effect"] == ("gain" if other[0] > one[0] else "loss")
        low, high = motif.range
        assert row["pct_alt"] == pytest.approx((other[0] - low) / (high - low))
    assert len(by_name) >= 3


def test_place_strand_and_effect_of_a_known_match() -> None:
    """ALT completes GATTACAGC on the minus strand, three bases from its start there."""
    sure = np.full((9, 4), 0.001)
    for place, letter in enumerate("GATTACAGC"):
        sure[place, LETTERS.index(letter)] = 0.997
    motif = Motif("GATTACAGC", "", sure)
    written = "GATTACAGC"[::-1].translate(COMPLEMENT)  # GCTGTAATC
    text = "C" * 10 + written + "C" * 10
    start = 10 + 3
    reference = text[:start] + "T" + text[start + 1 :]
    codes = np.array([LETTERS.index(letter) for letter in reference], np.uint8)
    left, right, ref, alt = site(codes, start, "T", written[3], 8)
    row = disruptions(Sites(left[None], right[None], (ref,), (alt,)), [motif], ExplainConfig()).row(0, named=True)
    assert (row["strand"], row["offset"], row["effect"], row["strong"]) == ("-", -3, "gain", True)
    assert row["pct_alt"] == pytest.approx(1.0)
    back = disruptions(Sites(left[None], right[None], (alt,), (ref,)), [motif], ExplainConfig()).row(0, named=True)
    assert (back["effect"], back["delta"]) == ("loss", pytest.approx(-row["delta"]))


def test_unknown_bases_hide_windows() -> None:
    codes = np.array([0, 1, 4, 0, 1, 2], np.uint8)
    left, right, ref, alt = site(codes, 3, "A", "C", 4)
    assert left.tolist() == [4, 0, 1, 4]
    assert right.tolist() == [1, 2, 4, 4]
    motif = random_motif(5, 1)
    found = disruptions(Sites(left[None], right[None], (ref,), (alt,)), [motif], ExplainConfig(motif_p=1.0))
    assert found.height == 0  # no window of five known bases


HEADER = "MEME version 4\n\nALPHABET= ACGT\n\nBackground letter frequencies\nA 0.3 C 0.2 G 0.2 T 0.3\n\n"
MATRIX = "letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0\n 0.5 0.5 0.0 0.0\n0 0 0.25 0.75\n"


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "m.meme"
    path.write_text(f"{HEADER}MOTIF M1 first\n{MATRIX}URL http://x\nMOTIF M2\n\n{MATRIX}")
    one, two = read_meme(path)
    assert (one.name, one.other_name, two.name, two.other_name) == ("M1", "first", "M2", "")
    np.testing.assert_array_equal(one.probabilities, [[0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75]])
    assert one.background == (0.25,) * 4
    assert read_meme(path, background=True)[0].background == (0.3, 0.2, 0.2, 0.3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing\n", "holds no motif"),
        ("MOTIF A\nletter-probability matrix: alength= 4 w= 3\n0.25 0.25 0.25 0.25\n", "is cut: it should have 3 rows"),
        ("MOTIF A\nletter-probability matrix: alength= 20 w= 3\n", "four letters"),
        (f"ALPHABET= ATGC\nMOTIF A\n{MATRIX}", "line 1 says that its letters are 'ATGC'"),
        ("MOTIF A\nletter-probability matrix: w= 1\n0.5 0.5 0.5 0.5\n", "no probabilities"),
        (f"MOTIF A\n{MATRIX}MOTIF A\n{MATRIX}", "1 motifs have the name of an earlier one, first `A`"),
    ],
)
def test_damaged_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.meme").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_meme(tmp_path / "m.meme")
