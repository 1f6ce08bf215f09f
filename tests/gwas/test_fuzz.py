"""Whatever bytes a file holds, `clean` either returns checked statistics or raises one of our errors, in one line."""

from __future__ import annotations

import gzip
import io
import logging
import tempfile
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.gwas import CASES
from varfx.errors import VarfxError
from varfx.gwas import FORMATS, CleanOptions, clean
from varfx.gwas.sumstats import check_sumstats

CONTENTS = [text.encode() for text, _ in CASES.values()]
WORDS = [
    "",
    "NA",
    ".",
    "nan",
    "-inf",
    "1e300",
    "-1",
    "0",
    "1",
    "1e-400",
    "A",
    "acgt",
    "é",
    "ADD",
    "1,2",
    "X",
    " ",
    "#NA",
]
WORDS += ["9" * 30, "1e5", "0x1", "rs1", "ES:SE:LP:SS", "0.1:0.1:3:100", ":", "::::", "A,C", "TEST_FAIL", "\t", "\r"]
HEADERS = sorted({name for form in FORMATS for spellings in form.columns.values() for name in spellings})


def check(content: bytes, *, drop_invalid: bool, n: str | None, name: str = "f") -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / name, Path(folder) / "out.parquet"
        path.write_bytes(content)
        message = "none"
        try:
            stats = clean(path, out=out, n=n, filters=CleanOptions(drop_invalid=drop_invalid))
            check_sumstats(stats.table, source="fuzz")
        except VarfxError as error:
            message = str(error)
        assert message
        assert len(message.splitlines()) == 1
        assert out.exists() == (message == "none")
        assert {file.name for file in Path(folder).iterdir()} <= {name, "out.parquet"}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "varfx")


fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
choices = {"drop_invalid": st.booleans(), "n": st.sampled_from([None, "1000", "200,800"])}


@settings(fuzz, max_examples=100)
@given(
    content=st.binary(max_size=300), magic=st.sampled_from([b"", b"\x1f\x8b", b"(\xb5/\xfd", b"PAR1", b"#"]), **choices
)
def test_random_bytes(content: bytes, magic: bytes, drop_invalid: bool, n: str | None) -> None:
    check(magic + content, drop_invalid=drop_invalid, n=n)


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(st.sampled_from(CONTENTS)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        match draw(st.sampled_from(["byte", "cut", "insert", "repeat"])):
            case "byte":
                content[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del content[place : place + draw(st.integers(1, 40))]
            case "insert":
                content[place:place] = draw(st.sampled_from(WORDS)).encode()
            case "repeat":
                content[place:place] = content[place : place + draw(st.integers(1, 60))]
    return bytes(content)


@settings(fuzz, max_examples=120)
@given(content=mutants(), **choices)
def test_mutants_of_valid_files(content: bytes, drop_invalid: bool, n: str | None) -> None:
    check(content, drop_invalid=drop_invalid, n=n)


@settings(fuzz, max_examples=40)
@given(content=mutants(), place=st.integers(0, 10**6), byte=st.binary(min_size=1, max_size=1), **choices)
def test_mutants_of_compressed_files(
    content: bytes, place: int, byte: bytes, drop_invalid: bool, n: str | None
) -> None:
    for packed in (gzip.compress(content), zstandard.compress(content)):
        check(packed, drop_invalid=drop_invalid, n=n)
        place %= len(packed)
        check(packed[:place] + byte + packed[place + 1 :], drop_invalid=drop_invalid, n=n)
        check(packed[:place], drop_invalid=drop_invalid, n=n)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Headers of one format, sometimes with other names, over random words; mostly plausible numbers."""
    form = draw(st.sampled_from(FORMATS))
    names = [draw(st.sampled_from(group)) for group in form.required]
    names += draw(st.lists(st.sampled_from(HEADERS), max_size=3))
    if form.name == "GWAS-VCF":
        names += ["study"]
    names = draw(st.permutations(names)) if draw(st.booleans()) else names
    cell = st.one_of(st.sampled_from(WORDS), st.sampled_from("ACGT"), st.integers(1, 9).map(str))
    rows = draw(st.lists(st.lists(cell, min_size=len(names), max_size=len(names)), max_size=4))
    return [names, *rows]


@settings(fuzz, max_examples=120)
@given(table=tables(), separator=st.sampled_from(["\t", " ", ","]), **choices)
def test_random_tables(table: list[list[str]], separator: str, drop_invalid: bool, n: str | None) -> None:
    check("\n".join(separator.join(row) for row in table).encode(), drop_invalid=drop_invalid, n=n)


@settings(fuzz, max_examples=30)
@given(table=tables(), place=st.integers(0, 10**6), byte=st.binary(min_size=1, max_size=1), **choices)
def test_random_parquet(table: list[list[str]], place: int, byte: bytes, drop_invalid: bool, n: str | None) -> None:
    names = list(dict.fromkeys(table[0]))
    columns = {name: [row[table[0].index(name)] for row in table[1:]] for name in names}
    for strict_numbers in (False, True):
        frame = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))
        if strict_numbers:
            frame = frame.with_columns(pl.all().cast(pl.Float64, strict=False))
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
        check(content, drop_invalid=drop_invalid, n=n)
        place %= len(content)
        check(content[:place] + byte + content[place + 1 :], drop_invalid=drop_invalid, n=n)


@settings(fuzz, max_examples=30)
@given(text=st.one_of(st.text(max_size=80), st.sampled_from(["samples: 3", "samples: [{sample_size: .nan}]", "a: b"])))
def test_random_sidecars(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.tsv"
        path.write_text(CASES["GWAS-SSF"][0])
        (Path(folder) / "g.tsv-meta.yaml").write_text(text, encoding="utf-8")
        message = "none"
        try:
            clean(path)
        except VarfxError as error:
            message = str(error)
        assert len(message.splitlines()) == 1
