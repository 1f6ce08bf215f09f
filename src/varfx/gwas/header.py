"""`recognise`: the format of a header and the role of each of its columns; what is not used is listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from varfx.errors import ConfigError, FormatError
from varfx.gwas.format import GwasFormat, matches
from varfx.gwas.formats import FORMATS, GENERIC
from varfx.gwas.frequency_names import EFFECT, allele_of_frequency
from varfx.gwas.roles import (
    ALLELE_FIELD,
    ALLELE_NAMES,
    FIRST_FREQUENCY,
    KEY,
    ROLES,
    SIZES,
    STATISTICS,
    SYNONYMS,
    candidates,
    is_explicit,
    plain,
)
from varfx.gwas.traits import choose_trait

GIVEN = "given:"  # prefix of the fields that hold what the user, or an explicit name, says against the format
_FEW = 0.5  # a format whose names are lacking is still taken if the user names the rest and this share is there
# Formats whose statistics are packed, or of another orientation than the columns beside them: synonyms give only these.
_CLOSED = ("REGENIE --htp", "GWAS-VCF", "GWAS Catalog, harmonised columns")
_HARMLESS = (*SIZES, "info")
_BESIDE_A_FORMAT = tuple(role for role in SYNONYMS if role not in ("test", "error_code", "low_confidence"))


@dataclass(frozen=True)
class ColumnUse:
    """What became of one column: its role, empty where it is not used, and why."""

    column: str
    role: str
    note: str = ""


@dataclass(frozen=True)
class Layout:
    """A format and where its roles stand in one file.

    Attributes:
        format: the format.
        columns: role or field of the format -> column number.
        named: roles that the user names.
        uses: what became of each column of the header.
        constants: roles whose value stands in the header.
        trait: the trait whose columns were taken, of several.
        remarks: sentences for the ledger and the log.
    """

    format: GwasFormat
    columns: Mapping[str, int]
    named: frozenset[str] = frozenset()
    uses: tuple[ColumnUse, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)
    trait: str | None = None
    remarks: tuple[str, ...] = ()


@dataclass
class _Reading:
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


def recognise(
    names: Sequence[str], *, source: str, columns: Mapping[str, str] | None = None, trait: str | None = None
) -> Layout:
    """The format of a header, and which column has which role.

    Names are compared as spelled first, then without regard to case. Roles that the user names replace those of the
    format, which keeps its choice of rows. Roles that the format does not have come from common synonyms.

    Args:
        names: the header.
        source: the file's name, for messages.
        columns: roles and column names given by the user.
        trait: the trait to take from a header of several.

    Raises:
        FormatError: no format fits; the message lists the columns and the nearest format.
        ConfigError: `columns` names a role or a column that does not exist.
    """
    given = _given(names, columns or {}, source)
    statistics = [names[number] for role, number in given.items() if role in STATISTICS]
    chosen = choose_trait(names, trait, statistics, source=source)
    reading = _Reading(source, tuple(names), chosen.names, given)
    form = _format(reading)
    remarks = [remark for remark in (chosen.remark, form.remark) if remark]
    if form is not GENERIC:
        _format_columns(reading, form, trait)
    _explicit_alleles(reading)
    _frequency(reading)
    _synonyms(reading, form)
    if form is GENERIC:
        _require_alleles(reading)
    elif not reading.has("other_allele", "omitted", "ref", "key", f"{ALLELE_FIELD}0"):
        raise FormatError(
            f"`{source}` ({form.name}) has no allele columns A1 and A2, without which the sign of z means nothing. "
            f"Make the file anew with them."
        )
    remarks += _harmonised_remark(reading, form)
    fields = {**reading.found, **{f"{GIVEN}{role}": number for role, number in reading.given.items()}}
    return Layout(
        format=form,
        columns=fields,
        named=frozenset(columns or {}),
        uses=_uses(reading),
        constants=form.constants(names),
        trait=chosen.trait,
        remarks=tuple(remarks),
    )


def _given(names: Sequence[str], columns: Mapping[str, str], source: str) -> dict[str, int]:
    """The columns of the roles that the user names."""
    given = {}
    for role, name in columns.items():
        if role not in ROLES:
            raise ConfigError(f"`--columns`: `{role}` is no role. Roles are {', '.join(ROLES)}.")
        number = _find((name,), names, source)
        if number is None:
            raise ConfigError(
                f"`--columns`: `{role}={name}`, but `{source}` has no column `{name}`; it has {listed(names)}."
            )
        given[role] = number
    return given


def _format(reading: _Reading) -> GwasFormat:
    """The most demanding format that fits: every PolyFun header is an LDSC header too."""
    names = [*(name for name in reading.names if name is not None), *reading.header]
    explicit = any(is_explicit("effect_allele", name) for name in names)
    fitting = [form for form in FORMATS if not form.lacking(names) and _allowed(form, names, explicit, reading.given)]
    if not fitting and reading.given:
        fitting = [form for form in FORMATS if _fits_with(form, names, reading) and not form.refused(names)]
    if fitting:
        return max(fitting, key=lambda form: len(form.required))
    if explicit or {"effect_allele", KEY} & set(reading.given):
        return GENERIC
    raise _unknown(names, reading)


def _allowed(form: GwasFormat, names: Sequence[str], explicit: bool, given: Mapping[str, int]) -> bool:
    """Whether a format that fits may be taken: few names are not enough where others say another thing."""
    if form.refused(names) and "effect_allele" not in given:
        return False
    # A column that is called effect allele beats A1; formats of rows of several kinds keep their choice of rows.
    return not (explicit and form.name in ("LDSC .sumstats", "PolyFun", "COJO .ma"))


def _fits_with(form: GwasFormat, names: Sequence[str], reading: _Reading) -> bool:
    """Whether a format fits once the columns that the user names stand for those it lacks."""

    def supplied(group: Sequence[str]) -> bool:
        roles = {role for role, spellings in form.columns.items() if set(spellings) & set(group)}
        return bool(roles & set(reading.given)) or (reading.statistic_given and bool(roles & set(STATISTICS)))

    lacking = [group for group in form.required if not any(matches(word, name) for word in group for name in names)]
    if form.prepare is GENERIC.prepare or len(lacking) > _FEW * len(form.required):
        return False
    distinctive = len(form.required) - len(lacking) >= 5
    return distinctive and all(supplied(group) for group in lacking)


def _format_columns(reading: _Reading, form: GwasFormat, trait: str | None) -> None:
    """The format's own columns."""
    for name, what in form.ignored.items():
        number = _find((name,), reading.names, reading.source)
        if number is not None and number not in reading.given.values():
            reading.notes[number] = what
    for role, spellings in form.columns.items():
        number = _find(spellings, reading.names, reading.source, free=reading.notes)
        if number is not None:
            reading.found[role] = number
    if form.name == "GWAS-VCF":
        reading.found["sample"] = _vcf_sample(reading.header, trait, reading.source)


def _explicit_alleles(reading: _Reading) -> None:
    """The effect allele in a column whose name says so, which beats all but the user's word; and the other allele to it."""
    own = reading.found.get("effect_allele")
    if "effect_allele" not in reading.given and (
        own is None or not plain(reading.header[own]).endswith("effectallele")
    ):
        _explicit_effect(reading)
    effect = reading.given.get("effect_allele")
    if effect is None or "other_allele" in reading.given or effect == own:
        return
    other = [number for number in reading.free if is_explicit("other_allele", reading.header[number])]
    if len(other) > 1:
        raise _ambiguous("other_allele", other, reading)
    if other:
        reading.given["other_allele"] = other[0]
    elif own is not None and "other_allele" in reading.found:
        # Whichever of the format's two alleles the effect allele is not, row by row.
        pair = own, reading.found.pop("other_allele")
        reading.found |= {f"{ALLELE_FIELD}{place}": number for place, number in enumerate(pair)}


def _explicit_effect(reading: _Reading) -> None:
    effect = [number for number in reading.free if is_explicit("effect_allele", reading.header[number])]
    if len(effect) > 1:
        raise _ambiguous("effect_allele", effect, reading)
    if effect:
        reading.given["effect_allele"] = effect[0]


def _require_alleles(reading: _Reading) -> None:
    """Both alleles: the other one, where none is said to be it, is whichever of two allele columns the effect is not."""
    if KEY in reading.given:
        return
    if "effect_allele" not in reading.given:
        raise _no_allele("effect_allele", reading)
    if reading.has("other_allele"):
        return
    pairs = [number for number in reading.free if plain(reading.header[number]) in ALLELE_NAMES]
    if not pairs:
        raise _no_allele("other_allele", reading)
    for place, number in enumerate(pairs):
        reading.found[f"{ALLELE_FIELD}{place}"] = number


def _frequency(reading: _Reading) -> None:
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
    if EFFECT in columns or (effect is not None and plain(reading.header[effect]) in columns):
        reading.found["eaf"] = number
    elif other is not None and plain(reading.header[other]) in columns:
        reading.found["eaf_other"] = number
    else:
        reading.found["frequency"] = number


def _synonyms(reading: _Reading, form: GwasFormat) -> None:
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


def _harmonised_remark(reading: _Reading, form: GwasFormat) -> list[str]:
    """What must be said of a file that has submitted and harmonised (hm_) columns side by side."""
    harmonised = [number for number in reading.free if reading.header[number].lower().startswith("hm_")]
    values = [number for number in harmonised if plain(reading.header[number]) in ("hmpos", "hmeffectallele", "hmbeta")]
    if form.name != "GWAS-SSF" or not values:
        return []
    for number in harmonised:
        reading.notes[number] = "harmonised column, of GRCh38"
    return [
        f"{len(harmonised)} hm_* columns (GRCh38) are not used: positions, alleles and effects are the submitted ones"
    ]


def _uses(reading: _Reading) -> tuple[ColumnUse, ...]:
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


def _find(
    spellings: Sequence[str], names: Sequence[str | None], source: str, free: Mapping[int, str] | None = None
) -> int | None:
    known = [(number, name) for number, name in enumerate(names) if name is not None and number not in (free or {})]
    for spelling in spellings:
        exact = [number for number, name in known if name == spelling]
        close = exact or [number for number, name in known if matches(spelling, name)]
        if len(close) > 1:
            raise FormatError(f"`{source}` has {len(close)} columns named `{names[close[0]]}`. Keep one.")
        if close:
            return close[0]
    return None


def _vcf_sample(names: Sequence[str], trait: str | None, source: str) -> int:
    first = next(number for number, name in enumerate(names) if name.lower() == "format") + 1
    samples = names[first:]
    if trait is not None and samples.count(trait) == 1:
        return first + samples.index(trait)
    if len(samples) != 1:
        raise FormatError(
            f"`{source}` holds {len(samples)} samples (studies){': ' + listed(samples) if samples else ''}; one is "
            f"needed. Name it with --trait, or extract it with `bcftools view -s NAME`."
        )
    return first


def _ambiguous(role: str, numbers: Sequence[int], reading: _Reading) -> FormatError:
    return FormatError(
        f"`{reading.source}`: columns {listed([reading.header[number] for number in numbers])} may all be `{role}`. "
        f"Say which with --columns {role}=NAME."
    )


def _no_allele(role: str, reading: _Reading) -> FormatError:
    return FormatError(
        f"`{reading.source}`: no column is surely `{role}`; the columns are {listed(reading.header)}. "
        f"Name it with --columns {role}=NAME."
    )


def _unknown(names: Sequence[str], reading: _Reading) -> FormatError:
    """The error on a header that no format fits, with what is nearest and what to do."""
    ask = "--columns effect_allele=NAME,other_allele=NAME,z=NAME,n=NAME,..."
    if {"a1", "a2"} <= {plain(name) for name in names}:
        return FormatError(
            f"`{reading.source}`: the header fits no known format, and A1 and A2 do not say which is the effect allele: "
            f"A1 in PLINK's, GCTA's and LDSC's files, A2 in MungeSumstats'. Its {len(reading.header)} columns are "
            f"{listed(reading.header)}. Say it with --columns effect_allele=A1,other_allele=A2, or the other way round; "
            f"other columns in the same way ({ask})."
        )
    nearest = max(FORMATS, key=lambda form: 1 - len(form.lacking(names)) / len(form.required))
    return FormatError(
        f"`{reading.source}`: the header fits no known format. Its {len(reading.header)} columns are "
        f"{listed(reading.header)}; nearest is {nearest.name}, which needs also {', '.join(nearest.lacking(names))}. "
        f"Name the columns with {ask}"
    )


def listed(names: Sequence[str]) -> str:
    """Column names for a message, at most 30."""
    shown = ", ".join(name[:40] for name in names[:30])
    return shown + (f", and {len(names) - 30} more" if len(names) > 30 else "")
