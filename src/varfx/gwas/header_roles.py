"""A header while its columns are given roles: effect allele, frequency, and the rest by common names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from varfx.errors import FormatError
from varfx.gwas.format import GwasFormat
from varfx.gwas.formats import GENERIC
from varfx.gwas.frequency_names import EFFECT, allele_of_frequency
from varfx.gwas.roles import (
    ALLELE_FIELD,
    ALLELE_NAMES,
    FIRST_FREQUENCY,
    KEY,
    SIZES,
    STATISTICS,
    SYNONYMS,
    candidates,
    is_explicit,
    plain,
)

# Formats whose statistics are packed, or of another orientation than the columns beside them: synonyms give only these.
_CLOSED = ("REGENIE --htp", "GWAS-VCF", "GWAS Catalog, harmonised columns")
_HARMLESS = (*SIZES, "info")
_BESIDE_A_FORMAT = tuple(role for role in SYNONYMS if role not in ("test", "error_code", "low_confidence"))


@dataclass(frozen=True)
class ColumnUse:
    """Role of one column, empty where it is unused, and the reason."""

    column: str
    role: str
    note: str = ""


@dataclass
class Reading:
    """A header while its columns are given roles."""

    source: str
    header: tuple[str, ...]
    names: tuple[str | None, ...]  # those of the chosen trait
    given: dict[str, int]
    found: dict[str, int] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)

    @property
    def free(self) -> list[int]:
        """Columns without a role or a note."""
        used = {*self.found.values(), *self.given.values(), *self.notes}
        return [number for number, name in enumerate(self.names) if number not in used and name is not None]

    def name(self, number: int) -> str:
        """A column's name, without that of the trait."""
        return self.names[number] or self.header[number]

    @property
    def statistic_given(self) -> bool:
        """Whether the user names a statistic, which is then used alone."""
        return any(role in STATISTICS for role in self.given)

    def has(self, *roles: str) -> bool:
        """Whether one of the roles has a column."""
        return any(role in self.found or role in self.given for role in roles)

    def column(self, role: str) -> int | None:
        """The column of a role."""
        return self.given.get(role, self.found.get(role))


def explicit_alleles(reading: Reading) -> None:
    """The effect allele in a column whose name says so, which beats all but the user's word; and the other allele to it."""
    own = reading.found.get("effect_allele")
    if "effect_allele" not in reading.given and (own is None or not plain(reading.name(own)).endswith("effectallele")):
        _explicit_effect(reading)
    effect = reading.given.get("effect_allele")
    if effect is None or "other_allele" in reading.given or effect == own:
        return
    other = [number for number in reading.free if is_explicit("other_allele", reading.name(number))]
    if len(other) > 1:
        raise _ambiguous("other_allele", other, reading)
    if other:
        reading.given["other_allele"] = other[0]
    elif own is not None and "other_allele" in reading.found:
        # Whichever of the format's two alleles the effect allele is not, row by row.
        pair = own, reading.found.pop("other_allele")
        reading.found |= {f"{ALLELE_FIELD}{place}": number for place, number in enumerate(pair)}


def _explicit_effect(reading: Reading) -> None:
    effect = [number for number in reading.free if is_explicit("effect_allele", reading.name(number))]
    if len(effect) > 1:
        raise _ambiguous("effect_allele", effect, reading)
    if effect:
        reading.given["effect_allele"] = effect[0]


def require_alleles(reading: Reading) -> None:
    """Both alleles: the other one, where none is said to be it, is whichever of two allele columns the effect is not."""
    if KEY in reading.given:
        return
    if "effect_allele" not in reading.given:
        raise _no_allele("effect_allele", reading)
    if reading.has("other_allele"):
        return
    pairs = [number for number in reading.free if plain(reading.name(number)) in ALLELE_NAMES]
    if not pairs:
        raise _no_allele("other_allele", reading)
    counted = reading.found.get("frequency")
    columns = allele_of_frequency(reading.name(counted)) if counted is not None else None
    of_one = [number for number in pairs if plain(reading.name(number)) in (columns or ())]
    if len(of_one) == 1:  # row by row, that of the effect allele or one minus it
        pairs = [*of_one, *(number for number in pairs if number not in of_one)]
        reading.found[FIRST_FREQUENCY] = reading.found.pop("frequency")
    for place, number in enumerate(pairs):
        reading.found[f"{ALLELE_FIELD}{place}"] = number


def frequency(reading: Reading) -> None:
    """Frequencies whose names say of which allele column they are; of an unknown allele they serve `--min-maf` only."""
    effect, other = reading.column("effect_allele"), reading.column("other_allele")
    own = reading.found.get("effect_allele")
    if "eaf" in reading.found and own is not None and effect != own:
        # The user, or an explicit name, says that another column than the format's is the effect allele.
        number = reading.found.pop("eaf")
        by_row = reading.has(f"{ALLELE_FIELD}0")
        reading.found[FIRST_FREQUENCY if by_row else "frequency"] = number
    if reading.has("eaf", "eaf_other", "frequency", FIRST_FREQUENCY, "minor_af", "format"):
        return
    if candidates("eaf", reading.names, reading.free):
        return
    alleles = {number: allele_of_frequency(reading.names[number] or "") for number in reading.free}
    tied = {number: columns for number, columns in alleles.items() if columns is not None}
    if len(tied) != 1 or candidates("maf", reading.names, tied):
        return
    ((number, columns),) = tied.items()
    if EFFECT in columns or (effect is not None and plain(reading.name(effect)) in columns):
        reading.found["eaf"] = number
    elif other is not None and plain(reading.name(other)) in columns:
        reading.found["eaf_other"] = number
    else:
        reading.found["frequency"] = number


def synonyms(reading: Reading, form: GwasFormat) -> None:
    """The roles that are still without a column, by common names; ambiguous names are an error, or are left out."""
    strict = form is GENERIC
    wanted = _HARMLESS if form.name in _CLOSED else tuple(SYNONYMS) if strict else _BESIDE_A_FORMAT
    for role in wanted:
        if role in ("effect_allele", "other_allele") or reading.has(role):
            continue
        if role == KEY and (reading.has("chrom", "position") or form.name == "GWAS-VCF"):
            continue
        if role == "eaf" and reading.has("eaf_other", "frequency", FIRST_FREQUENCY, "minor_af"):
            continue
        if role in STATISTICS and reading.statistic_given:
            continue
        found = candidates(role, reading.names, reading.free)
        if len(found) == 1:
            reading.found[role] = found[0]
        elif found and strict:
            raise _ambiguous(role, found, reading)
        for number in found if len(found) > 1 else ():
            reading.notes[number] = f"one of {len(found)} that may be {role}: name it with --columns"


def harmonised_remark(reading: Reading, form: GwasFormat) -> list[str]:
    """Note on a file with submitted and harmonised (hm_) columns side by side."""
    harmonised = [number for number in reading.free if reading.header[number].lower().startswith("hm_")]
    values = [number for number in harmonised if plain(reading.header[number]) in ("hmpos", "hmeffectallele", "hmbeta")]
    if form.name != "GWAS-SSF" or not values:
        return []
    for number in harmonised:
        reading.notes[number] = "harmonised column, of GRCh38"
    return [
        f"{len(harmonised)} hm_* columns (GRCh38) are not used: positions, alleles and effects are the submitted ones"
    ]


def uses_of(reading: Reading) -> tuple[ColumnUse, ...]:
    """Role of each column of the header."""
    roles: dict[int, list[str]] = {}
    for role, number in {**reading.found, **reading.given}.items():
        if role in reading.given and reading.given[role] != number:
            continue
        if reading.statistic_given and role in STATISTICS and role not in reading.given:
            continue
        roles.setdefault(number, []).append(role)
    uses = []
    for number, name in enumerate(reading.header):
        note = reading.notes.get(number, "")
        if not note and reading.names[number] is None:
            note = "of another trait"
        if not note and number not in roles and number in reading.found.values():
            note = "replaced by what --columns names"
        uses.append(ColumnUse(name, ", ".join(roles.get(number, [])), note))
    return tuple(uses)


def _ambiguous(role: str, numbers: Sequence[int], reading: Reading) -> FormatError:
    return FormatError(
        f"`{reading.source}`: columns {listed([reading.header[number] for number in numbers])} may all be `{role}`. "
        f"Say which with --columns {role}=NAME."
    )


def _no_allele(role: str, reading: Reading) -> FormatError:
    return FormatError(
        f"`{reading.source}`: no column is surely `{role}`; the columns are {listed(reading.header)}. "
        f"Name it with --columns {role}=NAME."
    )


def listed(names: Sequence[str]) -> str:
    """Column names for a message, at most 30."""
    shown = ", ".join(name[:40] for name in names[:30])
    return shown + (f", and {len(names) - 30} more" if len(names) > 30 else "")
