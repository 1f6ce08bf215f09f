"""Chromosome lengths of the two human genome builds, and which build a file's lengths belong to.

The mitochondrion is left out: hg19's chrM and GRCh37's MT are different sequences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from varfx.errors import ConfigError, DataError, HarmonisationError
from varfx.genome.chromosomes import CHROMOSOMES, spelled

# chromosomes 1 to 22, X, Y (UCSC chrom.sizes, GRCh37.p13 and GRCh38)
_HG19 = (
    *(249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022, 141213431, 135534747),
    *(135006516, 133851895, 115169878, 107349540, 102531392, 90354753, 81195210, 78077248, 59128983, 63025520),
    *(48129895, 51304566, 155270560, 59373566),
)
_HG38 = (
    *(248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636, 138394717, 133797422),
    *(135086622, 133275309, 114364328, 107043718, 101991189, 90338345, 83257441, 80373285, 58617616, 64444167),
    *(46709983, 50818468, 156040895, 57227415),
)
NUCLEAR = CHROMOSOMES[:24]
LENGTHS: Mapping[str, Mapping[str, int]] = {
    "hg19": dict(zip(NUCLEAR, _HG19, strict=True)),
    "hg38": dict(zip(NUCLEAR, _HG38, strict=True)),
}
GRC = {"hg19": "GRCh37", "hg38": "GRCh38"}
_SYNONYMS = {"hg19": "hg19", "grch37": "hg19", "b37": "hg19", "hg38": "hg38", "grch38": "hg38"}


def build_name(text: str) -> str:
    """`hg19` or `hg38` for any usual spelling (hg19, GRCh37, b37, hg38, GRCh38; any case).

    Raises:
        ConfigError: another name.
    """
    try:
        return _SYNONYMS[text.lower()]
    except KeyError:
        raise ConfigError(f"`build` must be hg19 (GRCh37) or hg38 (GRCh38), but is {text!r}.") from None


def known_build(text: object) -> str | None:
    """The build that a free text names, e.g. "HG19/GRCh37" or "GRCh38.p14"; None without or with both."""
    named = str(text).lower()
    found = {
        build
        for build, words in (("hg19", r"grch37|hg19|b37|hs37|ncbi37"), ("hg38", r"grch38|hg38|b38|hs38"))
        if re.search(rf"(?<![a-z0-9])(?:{words})(?![0-9])", named)
    }
    return found.pop() if len(found) == 1 else None


def said(build: str | None) -> str:
    """A build for the screen: GRCh37 (hg19), GRCh38 (hg38), or unknown."""
    return "unknown" if build is None else f"{GRC[build]} ({build})"


def chosen_build(given: str | None, stated: str | None, source: str) -> str | None:
    """The build that the user gives, else the one that a file states; None without either.

    Args:
        given: of `--build`, in any usual spelling.
        stated: by the file, `hg19` or `hg38`.
        source: the file.

    Raises:
        ConfigError: the two differ, or an unknown name.
    """
    build = None if given is None else build_name(given)
    if build is not None and stated is not None and build != stated:
        raise ConfigError(
            f"`--build {given}`, but `{source}` says that it is {said(stated)}. Leave --build out, or give a file of that build."
        )
    return build or stated


def require_same_build(first: str, first_build: str | None, second: str, second_build: str | None) -> None:
    """Refuses two files of different builds; an unknown build agrees with any.

    Raises:
        HarmonisationError: naming both files and builds.
    """
    if first_build is not None and second_build is not None and first_build != second_build:
        raise HarmonisationError(
            f"`{first}` is of {said(first_build)}, `{second}` of {said(second_build)}. Lift one of them over, or take both of one build; "
            "if a --build was wrong, make that file anew."
        )


def require_within(build: str | None, variants: Iterable[tuple[str, int]], source: str) -> None:
    """Checks that each chromosome's last position exists in a build.

    Args:
        build: `hg19` or `hg38`; None checks nothing.
        variants: chromosome and largest position.
        source: the file.

    Raises:
        DataError: a position lies beyond the end.
    """
    if build is None:
        return
    for chrom, last in variants:
        if last > LENGTHS[build].get(chrom, last):
            raise DataError(
                f"`{source}` is said to be of {said(build)}, but has a variant at {chrom}:{last}, where chromosome {chrom} has "
                f"{LENGTHS[build][chrom]} bases. Correct --build, or check the positions."
            )


def build_of_contigs(header: Iterable[str]) -> str | None:
    """The build of the lines `##contig=<ID=22,length=51304566,assembly=...>` of a VCF or .pvar: by lengths, else by assembly."""
    lengths: dict[str, int] = {}
    named = set()
    for line in header:
        if not line.startswith("##contig="):
            continue
        fields = dict(re.findall(r"(?<=[<,])(ID|length|assembly)=([^,<>]{1,100})", line[:10_000]))
        chrom = chromosome_name(fields.get("ID", ""))
        if chrom is not None and fields.get("length", "").isdecimal():
            lengths[chrom] = int(fields["length"])
        if known_build(fields.get("assembly", "")):
            named.add(known_build(fields["assembly"]))
    by_length = builds_of(lengths) if lengths else ()
    if len(by_length) == 1:
        return by_length[0]
    return named.pop() if len(named) == 1 and not lengths else None


def chromosome_name(text: str) -> str | None:
    """Our name of a nuclear chromosome ("chr9" and "09" are "9"), or None for contigs and the mitochondrion."""
    name = spelled(text)
    return name if name in NUCLEAR else None


def builds_of(lengths: Mapping[str, int]) -> tuple[str, ...]:
    """The builds all of whose lengths agree with the given ones (our names of chromosomes)."""
    return tuple(
        build for build, known in LENGTHS.items() if all(known[chrom] == size for chrom, size in lengths.items())
    )


def wrong_length(lengths: Mapping[str, int], build: str) -> str | None:
    """Half a sentence on what contradicts the build, naming the first chromosome; None if nothing does.

    Args:
        lengths: of chromosomes by our names, as a file states them.
        build: `hg19` or `hg38`.
    """
    wrong = [chrom for chrom, size in lengths.items() if LENGTHS[build][chrom] != size]
    if not wrong:
        return None
    chrom = wrong[0]
    others = [other for other in LENGTHS if other != build and LENGTHS[other][chrom] == lengths[chrom]]
    origin = f"its length in {others[0]}" if others else "its length in neither hg19 nor hg38"
    return (
        f"chromosome {chrom} has {lengths[chrom]} bases, which is {origin}, where {build} has {LENGTHS[build][chrom]} "
        f"({len(wrong)} of {len(lengths)} chromosomes differ)"
    )
