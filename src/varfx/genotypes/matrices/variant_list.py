"""The list of variants beside a matrix: a .bim, a .pvar, FINEMAP's .z, or any table with a header."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from varfx.errors import ConfigError, FormatError
from varfx.genotypes.plink1 import read_bim, sites_of
from varfx.genotypes.plink2 import read_sites
from varfx.io.text_lines import numbered_lines
from varfx.io.text_numbers import decimals
from varfx.io.text_table import open_table, read_with_header, refuse_alike

SYNONYMS: dict[str, tuple[str, ...]] = {
    "chrom": ("chr", "chrom", "chromosome"),
    "position": ("pos", "position", "bp", "ps", "base_pair_location", "physpos"),
    "variant_id": ("snp", "id", "rsid", "variant_id", "markername"),
    "eaf": ("eaf", "effect_allele_frequency", "freq", "a1freq", "a1_freq", "af", "alt_freqs"),
}
ALLELES = {
    "A1 and A2": ("a1", "a2"),
    "allele1 and allele2": ("allele1", "allele2"),
    "effect_allele and other_allele": ("effect_allele", "other_allele"),
    "ALT and REF": ("alt", "ref"),
}
BESIDE = (".z", ".bim", ".pvar", ".pvar.zst", ".variants.tsv", ".variants.tsv.gz")


def read_variant_list(path: Path) -> pl.DataFrame:
    """The variants in the order of the file: columns of `varfx.genome.variants.SCHEMA`; `eaf` null where the file has none.

    `effect_allele` is A1 of a .bim, ALT of a .pvar, allele1 of FINEMAP's .z; of other tables the first of the pair that their
    header names (A1/A2, allele1/allele2, effect_allele/other_allele, ALT/REF).

    Raises:
        FormatError: no such file, damaged, columns missing, or two pairs of alleles.
    """
    if not path.is_file():
        raise FormatError(f"`{path}` cannot be read: No such file or directory. Check the path.")
    if path.name.endswith(".bim"):
        return read_bim(path).with_columns(eaf=pl.lit(None, pl.Float64))
    if path.name.endswith((".pvar", ".pvar.zst")):
        return read_sites(path).with_columns(eaf=pl.lit(None, pl.Float64))
    names = open_table(path).names
    lower = {name.strip().lstrip("#").lower(): name for name in names}
    known = {word for words in SYNONYMS.values() for word in words} | {
        word for pair in ALLELES.values() for word in pair
    }
    refuse_alike(names, known, path)
    columns = {}
    for ours, words in SYNONYMS.items():
        present = [lower[word] for word in words if word in lower]
        if len(present) > 1:
            raise FormatError(
                f"`{path}`: `{present[0]}` and `{present[1]}` may both be the {ours}. Keep the one that is meant."
            )
        if present:
            columns[ours] = present[0]
        elif ours != "eaf":
            raise FormatError(
                f"`{path}` has no column for the {ours} ({', '.join(words)}); it has {', '.join(names[:10])[:120]}. Name it so."
            )
    pairs = [words for words in ALLELES.values() if set(words) <= lower.keys()]
    if len(pairs) != 1:
        found = "no pair of alleles" if not pairs else "more than one pair of alleles"
        raise FormatError(
            f"`{path}` has {found}; one of {', '.join(ALLELES)} is needed, the allele that r refers to first. Rename or drop columns."
        )
    columns |= {"effect_allele": lower[pairs[0][0]], "other_allele": lower[pairs[0][1]]}
    table = read_with_header(path, list(columns.values()), "variants")
    table.columns = list(columns)
    eaf = decimals(table, "eaf", path) if "eaf" in columns else pl.lit(None, pl.Float64)
    return sites_of(table, path).with_columns(eaf=eaf)


def list_beside(stem: str) -> Path:
    """The one list of variants that stands beside a matrix.

    Raises:
        ConfigError: none, or several.
    """
    found = [Path(stem + ending) for ending in BESIDE if Path(stem + ending).is_file()]
    if not found:
        raise ConfigError(
            f"`{stem}`: the matrix has no list of variants beside it ({', '.join(BESIDE[:3])}). Give one with --variants."
        )
    if len(found) > 1:
        raise ConfigError(
            f"`{found[0]}` and `{found[1].name}` both stand beside the matrix. Say with --variants which lists its rows."
        )
    return found[0]


def in_order_of(ids: Path, variants: pl.DataFrame, listed: Path) -> pl.DataFrame:
    """The variants in the order of a file with one name per line.

    Raises:
        FormatError: an empty file.
        ConfigError: names that the list lacks, or has twice.
    """
    names = pl.DataFrame(
        {"variant_id": [line.decode(errors="replace").strip() for _, line in numbered_lines(ids) if line.strip()]}
    )
    if not names.height:
        raise FormatError(f"`{ids}` lists no variants. Fetch it again.")
    counts = variants.group_by("variant_id").len()
    matched = names.join(counts, on="variant_id", how="left", maintain_order="left")
    absent = matched.filter(pl.col("len").is_null())
    if absent.height:
        raise ConfigError(
            f"`{listed}` lacks {absent.height} of the {names.height} variants of `{ids.name}`, first {absent['variant_id'][0]}. "
            "Give the list of the genotypes that the matrix was computed from."
        )
    twice = matched.filter(pl.col("len") > 1)
    if twice.height:
        raise ConfigError(
            f"`{listed}` has {twice.height} of the names of `{ids.name}` more than once, first {twice['variant_id'][0]}, so that "
            "their alleles are not known. Give a list with unique names."
        )
    return names.join(variants, on="variant_id", how="left", maintain_order="left").select(variants.columns)
