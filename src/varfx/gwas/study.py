"""Metadata of a study outside its table: the GWAS-SSF YAML beside it, and the GWAS-VCF header."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varfx.errors import FormatError
from varfx.genome.builds import build_of_contigs, known_build
from varfx.io.visible import shown
from varfx.io.yaml_text import read_yaml
from varfx.short_repr import short_repr

LONGEST_LINE = 100_000  # letters of a header line that are looked at


@dataclass(frozen=True, kw_only=True)
class Study:
    """Facts from a file's metadata; None where it does not say.

    Attributes:
        trait: name of the trait.
        genome_build: as written, e.g. "GRCh37".
        build: hg19 or hg38, by that or by the lengths of the header's contigs.
        n: number of individuals.
        n_case: number of cases.
        n_control: number of controls.
        zero_based: positions count from 0.
        remarks: sentences for the ledger.
    """

    __repr__ = short_repr

    trait: str | None = None
    genome_build: str | None = None
    build: str | None = None
    n: float | None = None
    n_case: float | None = None
    n_control: float | None = None
    zero_based: bool = False
    remarks: tuple[str, ...] = ()


def read_sidecar(path: Path) -> Study:
    """The facts in the GWAS-SSF sidecar `<file>-meta.yaml`; nothing known where there is none.

    Raises:
        FormatError: the sidecar is no YAML mapping, or a number in it is none.
    """
    sidecar = path.with_name(path.name + "-meta.yaml")
    if not sidecar.is_file():
        return Study()
    try:
        facts = read_yaml(sidecar, error=FormatError)
    except FormatError as error:
        raise FormatError(f"{error} Correct or remove it.") from error
    if not isinstance(facts, dict):
        raise FormatError(f"`{sidecar}` holds no `key: value` lines. Correct or remove it.")
    samples = [sample for sample in _as_list(facts.get("samples")) if isinstance(sample, dict)]
    remarks = []
    expected = facts.get("data_file_md5sum")
    if expected is not None:
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != str(expected).strip().lower():
                remarks.append("the file's MD5 differs from the sidecar's data_file_md5sum")
    traits, build = _as_list(facts.get("trait_description")), facts.get("genome_assembly")
    return Study(
        trait=str(traits[0]) if traits and isinstance(traits[0], str | int | float) else None,
        genome_build=str(build) if build and isinstance(build, str | int | float) else None,
        build=known_build(build),
        n=_total(samples, ("sample_size",), sidecar),
        n_case=_total(samples, ("case_count", "cases", "ncase"), sidecar),
        n_control=_total(samples, ("control_count", "controls", "ncontrol"), sidecar),
        zero_based=str(facts.get("coordinate_system")).strip().startswith("0"),
        remarks=tuple(remarks),
    )


def read_vcf_header(preamble: Sequence[str], sample: str) -> Study:
    """The facts in a GWAS-VCF header: `##SAMPLE=<ID=...,TotalCases=...>` and the contigs' assembly."""
    facts: dict[str, str] = {}
    build = None
    for line in preamble:
        if not line.startswith(("##SAMPLE=", "##contig=")):
            continue
        # A name begins after a separator: tried anywhere else, a long word would take the square of its length.
        fields = dict(
            re.findall(r'(?:^|(?<=[,<]))(\w{1,100})=("[^"]*"|[^,<>]*)', line.partition("=")[2][:LONGEST_LINE])
        )
        if line.startswith("##SAMPLE=") and fields.get("ID", sample) == sample:
            facts = fields
        elif line.startswith("##contig=") and fields.get("assembly"):
            build = fields["assembly"].strip('"')
    cases, controls = _number(facts.get("TotalCases")), _number(facts.get("TotalControls"))
    case_control = facts.get("StudyType", "").lower() == "casecontrol" and cases and controls
    total = (cases or 0) + (controls or 0) or None
    return Study(
        trait=sample,
        genome_build=build,
        build=build_of_contigs(preamble) or known_build(build),
        n=total,
        n_case=cases if case_control else None,
        n_control=controls if case_control else None,
    )


def _total(samples: Sequence[dict[str, Any]], keys: Sequence[str], sidecar: Path) -> float | None:
    """The sum of a count over the sidecar's samples."""
    values = [sample[key] for sample in samples for key in keys if sample.get(key) is not None]
    numbers = [_number(value) for value in values]
    for value, number in zip(values, numbers, strict=True):
        if number is None or number < 0:
            raise FormatError(f"`{sidecar}`: {keys[0]} is {shown(value)}, not a number of individuals. Correct it.")
    return sum(number for number in numbers if number is not None) or None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 1e12 else None


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
