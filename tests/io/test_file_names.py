"""Names of files from arbitrary text: one component, distinct, and ordinary ids unchanged."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varfx.io.file_names import as_file_name


@pytest.mark.parametrize("name", ["ENSG00000000001", "HLA-A", "chr1:100:200:clu_7", "AC007.1", "A@B+C"])
def test_ordinary_names_stay(name: str) -> None:
    assert as_file_name(name) == name


@given(st.text(max_size=300))
def test_any_text_is_one_component(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    text = as_file_name(name)
    path = PurePosixPath("out") / f"{text}.fold0"
    assert path.parent == PurePosixPath("out")
    assert text not in ("", ".", "..")
    assert "\\" not in text
    assert len(text.encode()) < 200


@given(st.text(max_size=200), st.text(max_size=200))
def test_different_names_are_different_files(one: str, other: str) -> None:
    assert (as_file_name(one) == as_file_name(other)) == (one == other)


@pytest.mark.parametrize(
    "name", ["../../../escaped/G1", "./escaped/G2", "/etc/passwd", "..", ".hidden", "a\0b", "C:\\x"]
)
def test_paths_do_not_lead_anywhere(tmp_path: Path, name: str) -> None:
    target = tmp_path / "parts" / f"{as_file_name(name)}.linear"
    assert target.resolve().parent == (tmp_path / "parts").resolve()
