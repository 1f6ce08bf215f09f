"""`tracks.yaml`: every key, and every mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from varfx.errors import ConfigError, FormatError
from varfx.tracks.manifest import TrackSpec, read_manifest_yaml, require_distinct, stem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.bed", "b.bedGraph.gz", "c.dat"):
        (tmp_path / name).write_text("chr1\t1\t2\t3\n")
    return tmp_path


def manifest(folder: Path, text: str) -> list[TrackSpec]:
    (folder / "tracks.yaml").write_text(text)
    return read_manifest_yaml(folder / "tracks.yaml")


def test_every_key_and_the_order(folder: Path) -> None:
    tracks = manifest(
        folder,
        """
        tracks:
          - {name: z, file: c.dat, kind: bed, assay: ATAC-seq, transform: "clip:0:50,log1p", missing: mask, store: float16,
             column: 4}
          - name: a
            file: b.bedGraph.gz
        """,
    )
    assert tracks == [
        TrackSpec(
            name="z",
            file=folder / "c.dat",
            kind="bed",
            assay="ATAC-seq",
            transform="clip:0:50,log1p",
            missing="mask",
            store="float16",
            column=4,
        ),
        TrackSpec(name="a", file=folder / "b.bedGraph.gz", kind="bedgraph"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold one key, `tracks`, with a list"),
        ("tracks: 5", "must hold one key, `tracks`, with a list"),
        ("tracks: []\nbuild: hg19", "must hold one key, `tracks`"),
        ("a: [", "is no YAML: "),
        ("tracks: [x]", "track 1 is not a list of `key: value`"),
        (
            "tracks: [{name: a, file: a.bed, colour: red}]",
            "track 1 has the unknown key `colour`. Known are name, file,",
        ),
        ("tracks: [{name: a}]", "track 1 has no `file`"),
        ("tracks: [{file: a.bed}]", "track 1 has no `name`"),
        ("tracks: [{name: 5, file: a.bed}]", "track 1: `name` must be text, but is 5"),
        ("tracks: [{name: a, file: a.bed, column: '4'}]", "track 1: `column` must be a whole number, but is '4'"),
        ("tracks: [{name: a, file: a.bed, column: true}]", "track 1: `column` must be a whole number, but is True"),
        (
            "tracks: [{name: a, file: a.bed, missing: nan}]",
            "track `a`: `missing` must be one of zero, mask, but is 'nan'",
        ),
        ("tracks: [{name: a, file: a.bed, store: int8}]", "`store` must be one of uint8, float16, but is 'int8'"),
        ("tracks: [{name: a, file: a.bed, kind: wig}]", "`kind` must be one of bigwig, bedgraph, bed, but is 'wig'"),
        ("tracks: [{name: a, file: a.bed, transform: ln}]", "track `a`: `transform` must be none, log1p"),
        ("tracks: [{name: a, file: b.bedGraph.gz, column: 4}]", "track `a`: `column` is for BED files"),
        ("tracks: [{name: a, file: c.dat}]", "its name does not say what kind of file it is"),
        ("tracks: [{name: eaf, file: a.bed}]", "The track name `eaf` has a meaning of its own in annotations"),
        ("tracks: [{name: x.missing, file: a.bed}]", "The track name `x.missing` has a meaning of its own"),
        ("tracks: [{name: ' x', file: a.bed}]", "`name` of `.*a.bed` must be printable text, but is ' x'"),
    ],
)
def test_mistakes(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        manifest(folder, text)


def test_absent_files(folder: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_manifest_yaml(folder / "absent.yaml")
    with pytest.raises(FormatError, match=r"absent.bw` cannot be read: No such file"):
        manifest(folder, "tracks: [{name: a, file: absent.bw}]")


def test_names_must_differ(folder: Path) -> None:
    one = TrackSpec(name="a", file=folder / "a.bed", kind="bed")
    require_distinct([one])
    with pytest.raises(ConfigError, match="The track name `a` stands twice"):
        require_distinct([one, one])


def test_names_of_files() -> None:
    assert stem(Path("x/GM12878.chr22.bigWig")) == "GM12878.chr22"
    assert stem(Path("a.b.bedGraph.gz")) == "a.b"
    assert stem(Path("peaks")) == "peaks"
