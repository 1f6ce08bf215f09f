"""Small files that claim terabytes, inflate without end, or hold code: each is refused, quickly and in little memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

BIG = 200_000_000  # bytes of what inflates
Bomb = Callable[[Path, Path], Callable[[], object]]
"""From the samples and an empty folder, in which it writes its file, to what reads it."""
BOMBS: dict[str, Bomb] = {}


def bomb(function: Bomb) -> Bomb:
    """Adds one to the list."""
    BOMBS[function.__name__.removeprefix("_").replace("_", " ")] = function
    return function


def npy(shape: object, kind: str = "<i8", data: bytes = b"") -> bytes:
    """An array in NumPy's format, whatever its shape says."""
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (63 - (len(head) + 10) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data


# ---- UK Biobank's LD, an archive of arrays ------------------------------------------------------------------------

_COO, _SHAPE = npy("()", "|S3", b"coo"), npy((2,), "<i8", struct.pack("<qq", 24, 24))
_ARCHIVES: dict[str, dict[str, bytes]] = {
    "npz shape of terabytes": {"shape.npy": npy((2**40,)), "format.npy": _COO},
    "npz claims terabytes": {"shape.npy": npy((2,), "<i8", struct.pack("<qq", 2**40, 2**40)), "format.npy": _COO},
    "npz long format": {"shape.npy": _SHAPE, "format.npy": npy("()", "|S999999999999")},
    "npz rows of terabytes": {"shape.npy": _SHAPE, "format.npy": _COO, "row.npy": npy((2**45,), "<i4"), "col.npy": npy((2**45,), "<i4"), "data.npy": npy((2**45,), "<f4")},
    "npz large items": {"shape.npy": _SHAPE, "format.npy": _COO, "row.npy": npy((5,), "|V900000000"), "col.npy": npy((5,), "|V900000000"), "data.npy": npy((5,), "|V900000000")},
    "npz csr of terabytes": {"shape.npy": _SHAPE, "format.npy": npy("()", "|S3", b"csr"), "indices.npy": npy((2**40,), "<i4"), "indptr.npy": npy((25,), "<i4", b"\0" * 100), "data.npy": npy((2**40,), "<f4")},
    "npz objects": {"shape.npy": npy((2,), "|O", b"x"), "format.npy": _COO},
    "npz long header": {"shape.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * 100, "format.npy": _COO},
}  # fmt: skip


def _archive(members: dict[str, bytes]) -> Bomb:
    def make(samples: Path, folder: Path) -> Callable[[], object]:
        from varfx.genotypes.open_ld import open_source

        shutil.copytree(samples / "ukb", folder / "ukb")
        for path in (folder / "ukb").glob("*.npz"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for name, content in members.items():
                    archive.writestr(name, content)

        def read() -> object:
            source = open_source(folder / "ukb", num_people=500)
            return source.correlation(*source.select("22", 0, 1500, 1000))  # type: ignore[union-attr]

        return read

    return make


BOMBS.update({name: _archive(members) for name, members in _ARCHIVES.items()})


@bomb
def _npz_inflates(samples: Path, folder: Path) -> Callable[[], object]:
    zeros = b"\0" * BIG
    arrays = {
        name: npy((BIG // 4,), kind, zeros)
        for name, kind in (("row.npy", "<i4"), ("col.npy", "<i4"), ("data.npy", "<f4"))
    }
    return _archive({"shape.npy": _SHAPE, "format.npy": _COO, **arrays})(samples, folder)


# ---- compressed text that inflates ----------------------------------------------------------------------------------

_TABLES = "varfx.expression.cohort.tables"
_TEXTS: dict[str, tuple[str, bytes, bytes, str, str]] = {
    "gz gwas of blanks": ("g.txt.gz", b"CHR\tBP\tSNP\tA1\tA2\tBETA\tSE\tN\n1\t10\trs1\tA\tG\t0.1\t0.1\t100\n", b" \n", "varfx.gwas.clean", "clean"),
    "gz gwas of zeros": ("g.txt.gz", b"CHR\tBP\tSNP\tA1\tA2\tBETA\tSE\tN\n1\t10\trs1\tA\tG\t0.1\t0.1\t100\n", b"\0", "varfx.gwas.clean", "clean"),
    "gz bed": ("b.bed.gz", b"chr1\t1\t2\n", b"\n", "varfx.genome.intervals", "read_bed"),
    "gz annotation header": ("a.annot.gz", b"CHR BP SNP CM base\n", b" ", "varfx.annotations.foreign", "read_annotation_table"),
    "gz annotation rows": ("a.annot.gz", b"CHR\tBP\tSNP\tCM\tbase\n1\t1\trs\t0\t1\n", b"\n", "varfx.annotations.foreign", "read_annotation_table"),
    "gz covariates": ("c.txt.gz", b"ID a b\nx 1 2\n", b" ", _TABLES, "read_covariates"),
    "gz expression": ("e.bed.gz", b"#chr\tstart\tend\tgene\ta\n", b"\t", _TABLES, "read_expression_bed"),
    "gz gtf": ("c.gtf.gz", b"", b"x", "varfx.genome.gtf", "read_gtf"),
    "gz chain": ("c.chain.gz", b"chain 1 chr1 249250621 + 0 10 chr1 248956422 + 0 10 1\n", b"5 1 1\n", "varfx.genome.liftover", "read_chain"),
}  # fmt: skip


def _text(name: str, head: bytes, unit: bytes, module: str, function: str) -> Bomb:
    def make(samples: Path, folder: Path) -> Callable[[], object]:
        import importlib

        (folder / name).write_bytes(gzip.compress(head + unit * (BIG // len(unit)), 1))
        return lambda: getattr(importlib.import_module(module), function)(folder / name)

    return make


BOMBS.update({name: _text(*parts) for name, parts in _TEXTS.items()})


@bomb
def _gz_dbnsfp(samples: Path, folder: Path) -> Callable[[], object]:
    from torture.readers import read_dbnsfp_sample

    head = gzip.decompress((samples / "tables" / "d.dbnsfp.gz").read_bytes()).split(b"\n")[0]
    (folder / "d.dbnsfp.gz").write_bytes(gzip.compress(head + b"\n" + b"x" * BIG, 1))
    return lambda: read_dbnsfp_sample(folder)


@bomb
def _zst_pvar(samples: Path, folder: Path) -> Callable[[], object]:
    import zstandard

    from varfx.genotypes.open_ld import open_source

    shutil.copytree(samples / "plink2_zst", folder / "p")
    (folder / "p" / "x.pvar.zst").write_bytes(zstandard.compress(b"#CHROM\tPOS\tID\tREF\tALT\n" + b"\n" * BIG))
    return lambda: open_source(folder / "p" / "x.pgen")


@bomb
def _zst_window_of_2_gb(samples: Path, folder: Path) -> Callable[[], object]:
    import zstandard

    from varfx.gwas.clean import clean

    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (folder / "z.txt.zst").write_bytes(stream.compress(b"CHR SNP\n" * 1000) + stream.flush())
    return lambda: clean(folder / "z.txt.zst")


@bomb
def _parquet_of_one_value(samples: Path, folder: Path) -> Callable[[], object]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from varfx.annotations.foreign import read_annotation_table

    table = pa.table(
        {"CHR": np.zeros(10_000_000, np.int64), "BP": np.ones(10_000_000, np.int64), "x": np.zeros(10_000_000)}
    )
    with pq.ParquetWriter(folder / "a.parquet", table.schema) as writer:
        for _ in range(6):
            writer.write_table(table)
    return lambda: read_annotation_table(folder / "a.parquet")


# ---- sizes that a header claims --------------------------------------------------------------------------------------


@bomb
def _pgen_of_two_thousand_million_variants(samples: Path, folder: Path) -> Callable[[], object]:
    from varfx.genotypes.open_ld import open_source

    shutil.copytree(samples / "plink2", folder / "p")
    content = bytearray((folder / "p" / "x.pgen").read_bytes())
    content[3:7] = struct.pack("<I", 2**31 - 3)
    (folder / "p" / "x.pgen").write_bytes(content)
    return lambda: open_source(folder / "p" / "x.pgen")


@bomb
def _fai_of_terabytes(samples: Path, folder: Path) -> Callable[[], object]:
    from varfx.genome.fasta import open_fasta

    shutil.copytree(samples / "fasta", folder / "f")
    (folder / "f" / "r.fa.fai").write_text("chr22\t4000000000000\t7\t60\t61\n")
    return lambda: open_fasta(folder / "f" / "r.fa").codes("22", 0, 4_000_000_000)


@bomb
def _gct_of_many_genes(samples: Path, folder: Path) -> Callable[[], object]:
    from varfx.expression.cohort.tables import read_gct

    (folder / "a.gct").write_text(f"#1.2\n{'9' * 20}\t9999999999\nName\tDescription\tS1\nG\tg\t1\n")
    return lambda: read_gct(folder / "a.gct")


# ---- weights ---------------------------------------------------------------------------------------------------------


def _weights(path: Path) -> Callable[[], object]:
    from varfx.models.enformer_weights import load_enformer

    return lambda: load_enformer(path)


@bomb
def _safetensors_long_header(samples: Path, folder: Path) -> Callable[[], object]:
    (folder / "w.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    return _weights(folder / "w.safetensors")


@bomb
def _safetensors_of_terabytes(samples: Path, folder: Path) -> Callable[[], object]:
    head = json.dumps({"a": {"dtype": "F32", "shape": [2**38], "data_offsets": [0, 2**40]}}).encode()
    (folder / "w.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + b"\0" * 64)
    return _weights(folder / "w.safetensors")


@bomb
def _torch_of_terabytes(samples: Path, folder: Path) -> Callable[[], object]:
    with zipfile.ZipFile(samples / "tensors" / "w.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "w.pt", "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"K\x03\x85", b"\x8a\x06\0\0\0\0\0\x01\x85"))
    return _weights(folder / "w.pt")


class _Code:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch ran",)


def _not_run(path: Path) -> Callable[[], object]:
    def read() -> object:
        os.chdir(path.parent)
        try:
            return _weights(path)()
        finally:
            assert not (path.parent / "ran").exists(), "code of the file was run"

    return read


@bomb
def _torch_with_code(samples: Path, folder: Path) -> Callable[[], object]:
    import torch

    torch.save({"a": _Code()}, folder / "w.pt")
    return _not_run(folder / "w.pt")


@bomb
def _pickle_with_code(samples: Path, folder: Path) -> Callable[[], object]:
    (folder / "w.bin").write_bytes(pickle.dumps({"a": _Code()}))
    return _not_run(folder / "w.bin")


@bomb
def _deep_pickle(samples: Path, folder: Path) -> Callable[[], object]:
    (folder / "w.bin").write_bytes(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")
    return _weights(folder / "w.bin")


@bomb
def _torch_tar(samples: Path, folder: Path) -> Callable[[], object]:
    with tarfile.open(folder / "w.pth", "w") as archive:
        info = tarfile.TarInfo("storages")
        info.size = 10
        archive.addfile(info, io.BytesIO(b"0123456789"))
    return _weights(folder / "w.pth")


# ---- YAML and JSON ---------------------------------------------------------------------------------------------------

_LAUGH = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)
_YAML = {
    "date": "{k}: 2024-13-45\n",
    "long number": "{k}: " + "9" * 5000 + "\n",
    "deep list": "{k}: " + "[" * 3000 + "]" * 3000 + "\n",
    "deep map": "{k}: " + "{{a: " * 2000 + "1" + "}}" * 2000 + "\n",
    "laughs": _LAUGH + "{k}: *i\n",
    "circle": "{k}: &x [*x]\n",
    "tag": "{k}: !!python/object/apply:os.system ['touch ran']\n",
    "no base64": "{k}: !!binary 'not base64!'\n",
    "merge": "{k}: {{<<: 3}}\n",
    "list as key": "? [a, b]\n: 1\n{k}: 1\n",
    "infinite": "{k}: 1e99999\n",
    "no day": "{k}: 2001-02-30 00:00:00\n",
    "tab": "{k}:\t- a\n",
    "long text": "{k}: " + "x" * 3_000_000 + "\n",
}  # fmt: skip
_YAML_READERS = {
    "manifest": ("varfx.tracks.manifest", "read_manifest_yaml", "tracks", ""),
    "experiment": ("varfx.prior.experiment.config", "read_experiment", "title", "kind: fig3\n"),
    "config": ("varfx.cli.command_line", "read_config", "seed", ""),
    "sidecar": ("varfx.gwas.study", "read_sidecar", "samples", ""),
}


def _yaml(text: str, reader: str) -> Bomb:
    def make(samples: Path, folder: Path) -> Callable[[], object]:
        import importlib

        module, function, key, before = _YAML_READERS[reader]
        (folder / "x-meta.yaml").write_text(before + text.format(k=key))
        path = folder / ("x" if reader == "sidecar" else "x-meta.yaml")

        def read() -> object:
            os.chdir(folder)
            try:
                return getattr(importlib.import_module(module), function)(path)
            finally:
                assert not (folder / "ran").exists(), "code of the file was run"

        return read

    return make


BOMBS.update(
    {f"yaml {name} in {reader}": _yaml(text, reader) for name, text in _YAML.items() for reader in _YAML_READERS}
)


def _manifest(text: str) -> Bomb:
    def make(samples: Path, folder: Path) -> Callable[[], object]:
        from varfx.io.sealed_folder import check_directory

        (folder / "manifest.json").write_text(text)
        return lambda: check_directory(folder)

    return make


BOMBS["json deep"] = _manifest("[" * 100_000)
BOMBS["json long number"] = _manifest('{"format_version": ' + "9" * 5000 + ', "files": {}}')
BOMBS["json infinite"] = _manifest('{"format_version": Infinity, "files": {}}')
