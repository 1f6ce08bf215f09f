"""The layouts of GWAS summary statistics: which columns each has, what they mean, and how a header is recognised.

A *role* is what a column means, whatever its name: `ROLES` lists them. Statistics refer to `effect_allele`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from varfx.errors import ConfigError, FormatError
from varfx.gwas import layouts
from varfx.io.ledger import Ledger

TEXT_ROLES = ("chrom", "variant_id", "effect_allele", "other_allele")
NUMBER_ROLES = (
    "position",
    "eaf",
    "maf",
    "info",
    "missingness",
    "n",
    "n_case",
    "n_control",
    "n_eff",
    "z",
    "beta",
    "odds_ratio",
    "hazard_ratio",
    "se",
    "chisq",
    "chisq_inf",
    "chisq_linreg",
    "neg_log10_p",
    "p",
)
ROLES = TEXT_ROLES + NUMBER_ROLES
STATISTICS = ("z", "beta", "odds_ratio", "hazard_ratio", "se", "chisq", "neg_log10_p", "p")


@dataclass(frozen=True, kw_only=True)
class GwasFormat:
    """One layout.

    Attributes:
        name: for messages and the ledger.
        columns: for each role, or field that `prepare` turns into roles, the names it may have; the first found wins.
        required: a header is of this format if it has one name of each group.
        missing: what stands for a missing value in this format; any other word in a numeric column is an error.
        prepare: turns a block of strings (columns named as in `columns`, and `row`) into one of roles, counting the
            rows it leaves out.
        chrom_codes: numeric chromosome codes that differ from PLINK's.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    required: tuple[tuple[str, ...], ...]
    missing: frozenset[str]
    prepare: Callable[[pl.DataFrame, Ledger], pl.DataFrame] = layouts.unchanged
    chrom_codes: Mapping[str, str] = field(default_factory=dict)


def _columns(**names: str) -> dict[str, tuple[str, ...]]:
    return {role: tuple(spelling.split()) for role, spelling in names.items()}


def _required(*groups: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(group.split("|")) for group in groups)


_NA = frozenset({"NA"})

FORMATS: tuple[GwasFormat, ...] = (
    GwasFormat(
        name="BOLT-LMM",
        columns=_columns(
            variant_id="SNP",
            chrom="CHR",
            position="BP",
            effect_allele="ALLELE1",
            other_allele="ALLELE0",
            eaf="A1FREQ",
            info="INFO",
            missingness="F_MISS",
            beta="BETA",
            se="SE",
            chisq="CHISQ_BOLT_LMM",
            chisq_inf="CHISQ_BOLT_LMM_INF",
            chisq_linreg="CHISQ_LINREG",
            p="P_BOLT_LMM_INF P_BOLT_LMM",
        ),
        required=_required(
            "SNP", "CHR", "BP", "ALLELE1", "ALLELE0", "A1FREQ", "BETA", "SE", "P_BOLT_LMM_INF|P_BOLT_LMM|P_LINREG"
        ),
        missing=frozenset(),
    ),
    GwasFormat(
        name="alkesgroup UKBB",
        columns=_columns(
            variant_id="SNP",
            chrom="CHR",
            position="POS",
            effect_allele="A1",
            other_allele="A2",
            eaf="EAF",
            beta="Beta",
            se="se",
            p="P",
            n="N",
            info="INFO",
        ),
        required=_required("SNP", "CHR", "POS", "A1", "A2", "REF", "EAF", "Beta", "se", "P", "N"),
        missing=frozenset(),
    ),
    GwasFormat(
        name="fastGWA",
        columns=_columns(
            variant_id="SNP",
            chrom="CHR",
            position="POS",
            effect_allele="A1",
            other_allele="A2",
            eaf="AF1",
            beta="BETA",
            se="SE",
            p="P",
            n="N",
            info="INFO",
        ),
        required=_required("CHR", "SNP", "POS", "A1", "A2", "N", "AF1", "BETA", "SE", "P"),
        missing=_NA,
    ),
    GwasFormat(
        name="REGENIE",
        columns=_columns(
            variant_id="ID",
            chrom="CHROM",
            position="GENPOS",
            effect_allele="ALLELE1",
            other_allele="ALLELE0",
            eaf="A1FREQ",
            info="INFO",
            n="N",
            n_case="N_CASES",
            n_control="N_CONTROLS",
            beta="BETA",
            se="SE",
            chisq="CHISQ",
            neg_log10_p="LOG10P",
            test="TEST",
            extra="EXTRA",
        ),
        required=_required(
            "CHROM", "GENPOS", "ID", "ALLELE0", "ALLELE1", "A1FREQ", "N", "TEST", "BETA", "SE", "LOG10P|CHISQ"
        ),
        missing=_NA,
        prepare=layouts.regenie,
    ),
    GwasFormat(
        name="REGENIE --htp",
        columns=_columns(
            variant_id="Name",
            chrom="Chr",
            position="Pos",
            effect_allele="Alt",
            other_allele="Ref",
            eaf="AAF",
            test="Model",
            effect="Effect",
            effect_lower="LCI_Effect",
            effect_upper="UCI_Effect",
            p="Pval",
            num_cases="Num_Cases",
            num_controls="Num_Controls",
            info_text="Info",
        ),
        required=_required(
            "Name", "Chr", "Pos", "Ref", "Alt", "Model", "Effect", "Pval", "AAF", "Num_Cases", "Num_Controls", "Info"
        ),
        missing=_NA,
        prepare=layouts.regenie_htp,
    ),
    GwasFormat(
        name="SAIGE",
        columns=_columns(
            variant_id="MarkerID rsid SNPID",
            chrom="CHR",
            position="POS",
            effect_allele="Allele2",
            other_allele="Allele1",
            eaf="AF_Allele2",
            info="imputationInfo",
            beta="BETA",
            se="SE",
            p="p.value",
            n="N",
            n_case="N_case N.Cases",
            n_control="N_ctrl N.Controls",
        ),
        required=_required(
            "CHR", "POS", "MarkerID|SNPID|rsid", "Allele1", "Allele2", "AF_Allele2", "BETA", "SE", "p.value"
        ),
        missing=_NA,
    ),
    GwasFormat(
        name="PLINK2 .glm",
        columns=_columns(
            variant_id="ID",
            chrom="CHROM",
            position="POS",
            ref="REF",
            alt="ALT",
            effect_allele="A1",
            omitted="OMITTED AX",
            eaf="A1_FREQ",
            info="MACH_R2",
            test="TEST",
            n="OBS_CT",
            beta="BETA",
            odds_ratio="OR",
            se="LOG(OR)_SE SE",
            z="T_STAT Z_STAT T_OR_F_STAT Z_OR_F_STAT Z_OR_CHISQ_STAT",
            p="P",
            neg_log10_p="LOG10_P NEG_LOG10_P",
            error_code="ERRCODE",
        ),
        required=_required("CHROM", "POS", "ID", "A1", "OMITTED|AX|REF", "OMITTED|AX|ALT", "OBS_CT", "BETA|OR"),
        missing=_NA,
        prepare=layouts.plink2,
    ),
    GwasFormat(
        name="GWAS-SSF",
        columns=_columns(
            variant_id="rsid variant_id",
            chrom="chromosome",
            position="base_pair_location",
            effect_allele="effect_allele",
            other_allele="other_allele",
            eaf="effect_allele_frequency",
            beta="beta",
            odds_ratio="odds_ratio",
            hazard_ratio="hazard_ratio",
            se="standard_error",
            p="p_value",
            neg_log10_p="neg_log_10_p_value",
            info="info",
            n="n",
        ),
        required=_required(
            "chromosome",
            "base_pair_location",
            "effect_allele",
            "other_allele",
            "beta|odds_ratio|hazard_ratio",
            "standard_error",
            "p_value|neg_log_10_p_value",
        ),
        missing=frozenset({"#NA"}),
        chrom_codes={"23": "X", "24": "Y", "25": "MT"},
    ),
    GwasFormat(
        name="GWAS-VCF",
        columns=_columns(
            variant_id="ID",
            chrom="CHROM",
            position="POS",
            other_allele="REF",
            effect_allele="ALT",
            format="FORMAT",
        ),
        required=_required("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"),
        missing=frozenset({"."}),
        prepare=layouts.gwas_vcf,
    ),
    GwasFormat(
        name="COJO .ma",
        columns=_columns(
            variant_id="SNP", effect_allele="A1", other_allele="A2", eaf="freq", beta="b", se="se", p="p", n="N"
        ),
        required=_required("SNP", "A1", "A2", "freq", "b", "se", "p", "N"),
        missing=_NA,
    ),
    GwasFormat(
        name="PolyFun",
        columns=_columns(
            variant_id="SNP",
            chrom="CHR",
            position="BP",
            effect_allele="A1",
            other_allele="A2",
            z="Z",
            n="N",
            maf="MAF",
        ),
        required=_required("SNP", "CHR", "BP", "A1", "A2", "Z", "N"),
        missing=frozenset(),
    ),
    GwasFormat(
        name="LDSC .sumstats",
        columns=_columns(variant_id="SNP", effect_allele="A1", other_allele="A2", z="Z", n="N"),
        required=_required("SNP", "N", "Z"),
        missing=frozenset({""}),
    ),
)

# Used when no format fits and the file itself says which allele is the effect allele: "A1" never does.
GENERIC = GwasFormat(
    name="generic",
    columns=_columns(
        variant_id="variant_id rsid SNP snpid rs_id rs_number MarkerName markerid ID",
        chrom="chrom chromosome CHR",
        position="position BP POS base_pair_location bp_position",
        effect_allele="effect_allele EA tested_allele effectallele",
        other_allele="other_allele NEA OA non_effect_allele noneffect_allele otherallele",
        eaf="eaf effect_allele_frequency effect_allele_freq freq_effect_allele",
        maf="maf",
        info="info imputation_info imputationInfo",
        n="N n_total sample_size samplesize",
        n_case="n_case n_cases ncase ncases",
        n_control="n_control n_controls ncontrol ncontrols n_ctrl",
        n_eff="neff n_eff effective_n",
        z="z zscore z_score z_stat",
        beta="beta effect b log_odds",
        odds_ratio="OR odds_ratio",
        se="se standard_error stderr",
        neg_log10_p="neg_log10_p neg_log_10_p_value mlog10p neglog10p",
        p="p pval p_value pvalue p.value",
    ),
    required=_required("effect_allele|EA|tested_allele|effectallele"),
    missing=frozenset({"NA"}),
)


@dataclass(frozen=True)
class Layout:
    """A format and where its roles stand in one file: `{role: column number}`."""

    format: GwasFormat
    columns: Mapping[str, int]


def recognise(names: Sequence[str], *, source: str, columns: Mapping[str, str] | None = None) -> Layout:
    """The format of a header, and which column has which role.

    Names are compared as spelled first, then without regard to case.

    Args:
        names: the header.
        source: the file's name, for messages.
        columns: roles and column names given by the user; the other roles come from common synonyms.

    Raises:
        FormatError: no format fits; the message lists the columns and the nearest format.
        ConfigError: `columns` names a role or a column that does not exist.
    """
    if columns:
        return _with_columns(names, columns, source)
    fitting = [form for form in FORMATS if not _lacking(form, names)]
    if fitting:
        # The most demanding format wins: every PolyFun header is an LDSC header too.
        form = max(fitting, key=lambda form: len(form.required))
        found = {role: _find(spellings, names, source) for role, spellings in form.columns.items()}
        if form.name == "GWAS-VCF":
            found["sample"] = _vcf_sample(names, source)
        layout = Layout(form, {role: number for role, number in found.items() if number is not None})
        if "other_allele" not in layout.columns and form.prepare is layouts.unchanged:
            raise FormatError(
                f"`{source}` ({form.name}) has no allele columns A1 and A2, without which the sign of z means nothing. "
                f"Make the file anew with them."
            )
        return layout
    if not _lacking(GENERIC, names):
        return _generic(names, {}, source)
    nearest = max(FORMATS, key=lambda form: 1 - len(_lacking(form, names)) / len(form.required))
    lacking = ", ".join(_lacking(nearest, names))
    raise FormatError(
        f"`{source}`: the header fits no known format. Its {len(names)} columns are {_list(names)}; nearest is "
        f"{nearest.name}, which needs also {lacking}. Name the columns with "
        f"--columns effect_allele=NAME,other_allele=NAME,z=NAME,n=NAME,..."
    )


def _with_columns(names: Sequence[str], columns: Mapping[str, str], source: str) -> Layout:
    given = {}
    for role, name in columns.items():
        if role not in ROLES:
            raise ConfigError(f"`--columns`: `{role}` is no role. Roles are {', '.join(ROLES)}.")
        number = _find((name,), names, source)
        if number is None:
            raise ConfigError(
                f"`--columns`: `{role}={name}`, but `{source}` has no column `{name}`; it has {_list(names)}."
            )
        given[role] = number
    return _generic(names, given, source)


def _generic(names: Sequence[str], given: Mapping[str, int], source: str) -> Layout:
    """The user's columns, and the other roles by synonyms; ambiguous synonyms are an error."""
    found = dict(given)
    named_statistic = any(role in STATISTICS for role in given)
    for role, spellings in GENERIC.columns.items():
        if role in found or (named_statistic and role in STATISTICS):
            continue
        candidates = [
            number
            for number, name in enumerate(names)
            if name.lower() in {spelling.lower() for spelling in spellings} and number not in given.values()
        ]
        if len(candidates) > 1:
            raise FormatError(
                f"`{source}`: columns {_list([names[number] for number in candidates])} may all be `{role}`. "
                f"Say which with --columns {role}=NAME."
            )
        if candidates:
            found[role] = candidates[0]
    for role in ("effect_allele", "other_allele"):
        if role not in found:
            raise FormatError(
                f"`{source}`: no column is surely `{role}`; the columns are {_list(names)}. "
                f"Name it with --columns {role}=NAME."
            )
    return Layout(GENERIC, found)


def _find(spellings: Sequence[str], names: Sequence[str], source: str) -> int | None:
    for spelling in spellings:
        exact = [number for number, name in enumerate(names) if name == spelling]
        close = exact or [number for number, name in enumerate(names) if name.lower() == spelling.lower()]
        if len(close) > 1:
            raise FormatError(f"`{source}` has {len(close)} columns named `{names[close[0]]}`. Keep one.")
        if close:
            return close[0]
    return None


def _vcf_sample(names: Sequence[str], source: str) -> int:
    first = next(number for number, name in enumerate(names) if name.lower() == "format") + 1
    samples = names[first:]
    if len(samples) != 1:
        raise FormatError(
            f"`{source}` holds {len(samples)} samples (studies){': ' + _list(samples) if samples else ''}; one is "
            f"needed. Extract it with `bcftools view -s NAME`."
        )
    return first


def _lacking(form: GwasFormat, names: Sequence[str]) -> list[str]:
    present = {name.lower() for name in names}
    return [
        " or ".join(dict.fromkeys(group))
        for group in form.required
        if not any(name.lower() in present for name in group)
    ]


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:30])
    return shown + (f", and {len(names) - 30} more" if len(names) > 30 else "")
