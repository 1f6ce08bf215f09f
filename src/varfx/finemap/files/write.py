"""Every file of a fine-mapping below one name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

from varfx.errors import ConfigError
from varfx.finemap.files.text import write_table
from varfx.finemap.run import FineMapping
from varfx.finemap.tables import locus_table, set_table
from varfx.io import sealed

Format = Literal["polyfun", "finngen", "finemap", "susieinf", "opentargets"]
FORMATS: tuple[Format, ...] = get_args(Format)


def write_files(mapping: FineMapping, out: str | os.PathLike[str], *, formats: Sequence[str] = ()) -> list[Path]:
    """Writes the files of a fine-mapping; returns their paths.

    `OUT.pip.tsv.gz`, `OUT.cs.tsv`, `OUT.cs99.tsv`, `OUT.loci.tsv` and `OUT.json` always; further formats where asked for.

    Args:
        mapping: the fine-mapping.
        out: the common beginning of all names.
        formats: finngen, finemap, susieinf, opentargets; polyfun is always written.

    Raises:
        ConfigError: an unknown format.
        StoreError: a file cannot be written.
    """
    check_formats(formats)
    from varfx.finemap.files import finemap14, finngen, opentargets, polyfun, susieinf

    texts = {
        ".pip.tsv.gz": polyfun.pip_table(mapping),
        ".cs.tsv": set_table(mapping),
        ".cs99.tsv": set_table(mapping, high=True),
        ".loci.tsv": locus_table(mapping),
    }
    if "finngen" in formats:
        texts |= {".SUSIE.snp": finngen.snp_table(mapping), ".SUSIE.cred": finngen.cred_table(mapping)}
    if "susieinf" in formats:
        texts |= {".susieinf.tsv.gz": susieinf.inf_table(mapping)}
    written = []
    for ending, table in texts.items():
        write_table(table, f"{out}{ending}")
        written.append(Path(f"{out}{ending}"))
    if "finemap" in formats:
        write_table(finemap14.snp_table(mapping), f"{out}.snp", separator=" ")
        written.append(Path(f"{out}.snp"))
    if "opentargets" in formats:
        sealed.write_plain_parquet(opentargets.study_loci(mapping), Path(f"{out}.study_locus.parquet"))
        written.append(Path(f"{out}.study_locus.parquet"))
    provenance = sealed.provenance(asdict(mapping.config), mapping.study.files)
    sealed.write_json(f"{out}.json", {**mapping.to_dict(), "provenance": provenance})
    return [*written, Path(f"{out}.json")]


def check_formats(formats: Sequence[str]) -> None:
    """Checks the names of formats.

    Raises:
        ConfigError: an unknown one.
    """
    unknown = [each for each in formats if each not in FORMATS]
    if unknown:
        raise ConfigError(f"`format` {unknown[0]} is unknown. Choose of {', '.join(FORMATS)}.")
