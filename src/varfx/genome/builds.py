"""Chromosome lengths of the two human genome builds, and which build a file's lengths belong to.

The mitochondrion is left out: hg19's chrM and GRCh37's MT are different sequences.
"""

from __future__ import annotations

from collections.abc import Mapping

from varfx.errors import ConfigError
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
