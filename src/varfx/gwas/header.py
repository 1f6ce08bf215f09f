"""`recognise`: the format of a header and the role of each of its columns; what is not used is listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from varfx.errors import ConfigError, FormatError
from varfx.gwas.format import GwasFormat, matches
from varfx.gwas.formats import FORMATS, GENERIC
from varfx.gwas.header_roles import (
    ColumnUse,
    Reading,
    explicit_alleles,
    frequency,
    harmonised_remark,
    listed,
    require_alleles,
    synonyms,
    uses_of,
)
from varfx.gwas.roles import (
    ALLELE_FIELD,
    KEY,
    ROLES,
    STATISTICS,
    candidates,
    is_explicit,
    plain,
)
from varfx.gwas.traits import choose_trait

GIVEN = "given:"  # prefix of the fields that hold what the user, or an explicit name, says against the format
_FEW = 0.5  # a format whose names are lacking is still taken if the user names the rest and this share is there


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
    _refuse_without_one_effect(names, source)
    chosen = choose_trait(names, trait, statistics, source=source)
    reading = Reading(source, tuple(names), chosen.names, given)
    form = _format(reading)
    if form is GENERIC and not _has_effect(reading):
        chosen = choose_trait(names, trait, statistics, source=source, prefixed=True)
        reading = Reading(source, tuple(names), chosen.names, given)
    remarks = [remark for remark in (chosen.remark, form.remark) if remark]
    if form is not GENERIC:
        _format_columns(reading, form, trait)
    explicit_alleles(reading)
    frequency(reading)
    synonyms(reading, form)
    if form is GENERIC:
        require_alleles(reading)
    elif not reading.has("other_allele", "omitted", "ref", "key", f"{ALLELE_FIELD}0"):
        raise FormatError(
            f"`{source}` ({form.name}) has no allele columns A1 and A2, without which the sign of z means nothing. "
            f"Make the file anew with them."
        )
    remarks += harmonised_remark(reading, form)
    fields = {**reading.found, **{f"{GIVEN}{role}": number for role, number in reading.given.items()}}
    return Layout(
        format=form,
        columns=fields,
        named=frozenset(columns or {}),
        uses=uses_of(reading),
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


def _refuse_without_one_effect(names: Sequence[str], source: str) -> None:
    """Refuses MR-MEGA's results, whose effects vary along axes of ancestry: no z has their p-value."""
    if {"beta_0", "se_0", "chisq_association", "ndf_association"} <= {name.lower() for name in names}:
        raise FormatError(
            f"`{source}` is MR-MEGA's: its effects vary along axes of ancestry, so that its p-value is not that of one effect. Give a "
            "fixed-effects meta-analysis (METAL, GWAMA), or one per ancestry."
        )


def _has_effect(reading: Reading) -> bool:
    """Whether the user or a common name says what the effect is."""
    effects = ("z", "beta", "odds_ratio", "hazard_ratio")
    return reading.has(*effects) or any(candidates(role, reading.names, range(len(reading.names))) for role in effects)


def _format(reading: Reading) -> GwasFormat:
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


def _fits_with(form: GwasFormat, names: Sequence[str], reading: Reading) -> bool:
    """Whether a format fits once the columns that the user names stand for those it lacks."""

    def supplied(group: Sequence[str]) -> bool:
        roles = {role for role, spellings in form.columns.items() if set(spellings) & set(group)}
        return bool(roles & set(reading.given)) or (reading.statistic_given and bool(roles & set(STATISTICS)))

    lacking = [group for group in form.required if not any(matches(word, name) for word in group for name in names)]
    if form.prepare is GENERIC.prepare or len(lacking) > _FEW * len(form.required):
        return False
    distinctive = len(form.required) - len(lacking) >= 5
    return distinctive and all(supplied(group) for group in lacking)


def _format_columns(reading: Reading, form: GwasFormat, trait: str | None) -> None:
    """The format's own columns."""
    for name, what in form.ignored.items():
        number = _find((name,), reading.names, reading.source)
        if number is not None and number not in reading.given.values():
            reading.notes[number] = what
    for role, spellings in form.columns.items():
        number = _find(spellings, reading.names, reading.source, free=reading.notes)
        if number is not None:
            reading.found[role] = number
            if role not in reading.given:
                _refuse_alike(role, number, reading)
    if form.name == "GWAS-VCF":
        reading.found["sample"] = _vcf_sample(reading.header, trait, reading.source)


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


def _refuse_alike(role: str, number: int, reading: Reading) -> None:
    """Refuses a column of a format beside another, free one whose name differs in case only."""
    name = reading.header[number]
    others = [
        reading.header[each] for each in reading.free if each != number and reading.header[each].lower() == name.lower()
    ]
    if others:
        raise FormatError(
            f"`{reading.source}`: the columns `{name}` and `{others[0]}` are equal but for case, so that either may be the {role}. Keep "
            f"one, or say which with --columns {role}=NAME."
        )


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


def _unknown(names: Sequence[str], reading: Reading) -> FormatError:
    """The error on a header that no format fits, with what is nearest and what to do."""
    ask = "--columns effect_allele=NAME,other_allele=NAME,z=NAME,n=NAME,..."
    if len(reading.header) == 1:
        return FormatError(
            f"`{reading.source}`: the header is one column, {names[0][:60]!r}. Separate columns by tabs, commas or blanks."
        )
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
