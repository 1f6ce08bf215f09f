"""Names of chromosomes in our spelling, and ranges of them; without polars, so that a configuration can be checked at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from varfx.errors import ConfigError

CHROMOSOMES = (*map(str, range(1, 23)), "X", "Y", "MT")
PLINK_CODES = {"23": "X", "24": "Y", "25": "X", "26": "MT"}
_OF_X = ("XY", "PAR", "PAR1", "PAR2", "NONPAR", "X_PAR", "X_PAR1", "X_PAR2", "X_NONPAR", "XNONPAR")
_WORDS = {"M": "MT", "MITO": "MT", **dict.fromkeys(_OF_X, "X")}
_ACCESSIONS = {f"CM{662 + number:06}": name for number, name in enumerate(CHROMOSOMES[:24], start=1)}
_ACCESSIONS |= {f"NC_{number:06}": name for number, name in enumerate(CHROMOSOMES[:24], start=1)}
_ACCESSIONS |= {"NC_012920": "MT", "NC_001807": "MT", "J01415": "MT"}
_CONTIG = re.compile(
    r"0|UN(_.*)?|.*_(RANDOM|ALT|FIX|HAP\d*|DECOY)|HLA.*|(CHRUN_)?(GL|KI|KN|KQ|KV|JH|KZ|ML|MU)\d{6}.*|N[TW]_\d+.*|HS37D5|.*EBV"
)
_PREFIX = re.compile(r"CHR(OM(OSOME)?)?[ _.:]?(?=.)")
_RANGE = re.compile(r"(?:CHR)?(\d{1,2})-(?:CHR)?(\d{1,2})")


def spelled(name: str, codes: Mapping[str, str] = PLINK_CODES) -> str:
    """A chromosome's name in our spelling: 1 to 22, X, Y, MT. A name that is no human chromosome's stays, in capitals.

    Understood are `chr1`, `Chrom_1`, `01`, `1.0` (a number with decimals), X and Y by PLINK's codes, `XY`, `PAR`, `X_nonPAR` (the
    pseudoautosomal regions and the rest of X), `M`, and the accessions of RefSeq and GenBank (`NC_000001.10`).

    Args:
        name: as a file has it.
        codes: numbers of X, Y and MT: PLINK's (23 X, 24 Y, 25 XY, 26 MT), or the file's own.
    """
    bare = _PREFIX.sub("", str(name).strip().strip('"').upper(), count=1)
    bare = re.sub(r"^(\d+)\.0*$", r"\1", bare)
    bare = re.sub("^0+(?=[0-9])", "", bare)
    bare = _ACCESSIONS.get(bare.partition(".")[0], bare)
    return codes.get(bare, _WORDS.get(bare, bare))


def is_contig(name: str) -> bool:
    """True for names of unplaced or alternative contigs, which every genome file has."""
    return _CONTIG.fullmatch(name) is not None


def unknown_names(names: Iterable[str | None]) -> list[str]:
    """Names, in canonical spelling, that are neither chromosomes nor contigs."""
    return sorted({name for name in names if name is not None and name not in CHROMOSOMES and not is_contig(name)})


def chrom_names(names: Iterable[object]) -> tuple[str, ...]:
    """Each chromosome name in our spelling, as `chrom_expr` has it: `chr20`, `020` and 20 are the same."""
    return tuple(spelled(str(name)) for name in names)


def chrom_list(names: Iterable[object], *, option: str = "chrom") -> tuple[str, ...]:
    """The chromosomes that a user names, in our spelling: `1-3,chr5 X` is 1, 2, 3, 5, X.

    Args:
        names: words of the user.
        option: which option names them, for messages.

    Raises:
        ConfigError: a name of no chromosome, or a range that runs backwards or beyond 22.
    """
    found: list[str] = []
    for given in (word for name in names for word in str(name).replace(",", " ").split()):
        word = given.upper()
        span = _RANGE.fullmatch(word)
        if span is None:
            if unknown_names([spelled(word)]):
                raise ConfigError(
                    f"`--{option}` names {given[:40]!r}, which is no chromosome. Give 1 to 22, X, Y or MT, or a range such as 1-3."
                )
            found.append(spelled(word))
            continue
        first, last = int(span[1]), int(span[2])
        if not 1 <= first <= last <= 22:
            raise ConfigError(f"chromosome range {word} must run upwards within 1-22.")
        found += map(str, range(first, last + 1))
    return tuple(dict.fromkeys(found))
