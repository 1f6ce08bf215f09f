"""One ledger and one shape: counts add up over blocks and files, sieves count what they leave out."""

from __future__ import annotations

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from varfx.io.ledger import Ledger, Sieve, counts_of, notes_of


def test_steps_add_up_and_keep_their_order() -> None:
    ledger = Ledger()
    ledger.add("read", 3, "rows")
    ledger.drop(2, "missing z")
    ledger.drop(0, "never")
    ledger.add("read", 4, "rows")
    ledger.drop(5, "no position")
    ledger.note("Look at this.")
    assert ledger.rows() == [
        {"step": "read", "count": 7, "note": "rows"},
        {"step": "dropped", "count": 2, "note": "missing z"},
        {"step": "dropped", "count": 5, "note": "no position"},
        {"step": "note", "count": 0, "note": "Look at this."},
    ]
    assert ledger.counts == {"read": 7, "dropped": 7}
    assert ledger.notes == ("Look at this.",)
    assert ledger.largest_drop() == "5 were dropped: no position"
    assert Ledger().largest_drop() == "the file has no rows"
    assert json.loads(json.dumps(ledger.rows())) == ledger.rows()


def test_rows_are_copies() -> None:
    ledger = Ledger({"a": 1})
    ledger.rows()[0]["count"] = 9
    assert ledger.counts == {"a": 1}


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_a_sieve_accounts_for_every_row(steps: list[list[bool]]) -> None:
    sieve = Sieve(pl.DataFrame({"row": range(6)}), "all")
    for number, bad in enumerate(steps):
        left = sieve.frame["row"].to_list()
        sieve.drop(pl.Series([bad[row] for row in left], dtype=pl.Boolean), f"rule {number}")
    rows = sieve.ledger.rows()
    assert rows[0] == {"step": "all", "count": 6, "note": "", "left": 6}
    assert sum(row["count"] for row in rows[1:]) == 6 - sieve.frame.height
    assert rows[-1]["left"] == sieve.frame.height
    assert sieve.frame["row"].to_list() == [row for row in range(6) if not any(bad[row] for bad in steps)]


def test_the_step_that_took_most_and_both_its_sides() -> None:
    sieve = Sieve(pl.DataFrame({"chrom": ["1", "2", "2"]}), "genes")
    sieve.drop(sieve.frame["chrom"] == "1", "one")
    sieve.drop(sieve.frame["chrom"] == "2", "no genotypes", sides="genes are on 2, genotypes on 3")
    assert sieve.why() == "genes: 3, one: 1, no genotypes: 2"
    assert sieve.largest() == "`no genotypes` left out 2 of 3: genes are on 2, genotypes on 3"


def test_sieves_of_several_files_are_one_ledger() -> None:
    total = Ledger()
    for size in (3, 5):
        sieve = Sieve(pl.DataFrame({"x": range(size)}))
        sieve.drop(sieve.frame["x"] > 1, "too large")
        total.include(sieve.ledger)
    assert total.counts == {"too large": 4}


def test_ledgers_of_earlier_files_are_read() -> None:
    earlier = [
        {"step": "read", "variants": 3, "note": ""},
        {"step": "not in the GTF", "dropped": 2, "left": 1},
        {"step": "note", "count": 0, "note": "A sentence."},
    ]
    assert counts_of(earlier) == {"read": 3, "not in the GTF": 2}
    assert notes_of(earlier) == ("A sentence.",)
