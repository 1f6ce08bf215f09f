"""The formats in which consortia, biobanks and data bases release summary statistics."""

from __future__ import annotations

import re
from collections.abc import Sequence

from varfx.gwas import layouts
from varfx.gwas.format import GwasFormat, columns_of, groups_of

_SSF_CODES = {"23": "X", "24": "Y", "25": "MT"}


def daner_counts(names: Sequence[str]) -> dict[str, float]:
    """Cases and controls in the names `FRQ_A_<cases>` and `FRQ_U_<controls>` of a daner file."""
    found = {}
    for name in names:
        if counted := re.fullmatch(r"FRQ_([AU])_(\d+)", name, flags=re.IGNORECASE):
            found["n_case" if counted[1].upper() == "A" else "n_control"] = float(counted[2])
    return found


RELEASES: tuple[GwasFormat, ...] = (
    GwasFormat(
        name="GWAS-SSF",
        columns=columns_of(
            "variant_id=rsid|variant_id chrom=chromosome position=base_pair_location",
            "effect_allele=effect_allele other_allele=other_allele eaf=effect_allele_frequency beta=beta",
            "odds_ratio=odds_ratio hazard_ratio=hazard_ratio se=standard_error p=p_value",
            "neg_log10_p=neg_log_10_p_value info=info n=n",
        ),
        required=groups_of(
            "chromosome base_pair_location effect_allele other_allele beta|odds_ratio|hazard_ratio",
            "standard_error p_value|neg_log_10_p_value",
        ),
        chrom_codes=_SSF_CODES,
    ),
    GwasFormat(
        name="GWAS Catalog, harmonised columns",
        columns=columns_of(
            "variant_id=hm_rsid|hm_variant_id chrom=hm_chrom position=hm_pos effect_allele=hm_effect_allele",
            "other_allele=hm_other_allele eaf=hm_effect_allele_frequency beta=hm_beta",
            "odds_ratio=hm_odds_ratio ci_lower=hm_ci_lower ci_upper=hm_ci_upper se=standard_error p=p_value",
            "n=n",
        ),
        required=groups_of(
            "hm_chrom hm_pos hm_effect_allele hm_other_allele hm_beta|hm_odds_ratio standard_error|p_value",
        ),
        chrom_codes=_SSF_CODES,
    ),
    GwasFormat(
        name="FinnGen",
        columns=columns_of(
            "variant_id=rsids chrom=chrom position=pos effect_allele=alt other_allele=ref eaf=af_alt",
            "eaf_case=af_alt_cases eaf_control=af_alt_controls beta=beta se=sebeta neg_log10_p=mlogp p=pval",
        ),
        required=groups_of("chrom pos ref alt beta sebeta pval|mlogp af_alt|rsids"),
        prepare=layouts.first_rsid,
    ),
    GwasFormat(
        name="GBMI",
        columns=columns_of(
            "variant_id=rsid|SNP chrom=CHR position=POS effect_allele=ALT other_allele=REF eaf=all_meta_AF",
            "beta=inv_var_meta_beta|all_inv_var_meta_beta se=inv_var_meta_sebeta|all_inv_var_meta_sebeta",
            "p=inv_var_meta_p|all_inv_var_meta_p neg_log10_p=inv_var_meta_mlogp|all_inv_var_meta_mlogp",
            "n_case=N_case|all_inv_var_meta_cases n_control=N_ctrl|all_inv_var_meta_controls",
            "n_eff=all_inv_var_meta_effective",
        ),
        required=groups_of(
            "CHR POS REF ALT inv_var_meta_beta|all_inv_var_meta_beta",
            "inv_var_meta_sebeta|all_inv_var_meta_sebeta",
        ),
    ),
    GwasFormat(
        name="Pan-UKB",
        columns=columns_of(
            "chrom=chr position=pos effect_allele=alt other_allele=ref eaf=af eaf_case=af_cases",
            "eaf_control=af_controls beta=beta se=se neg_log10_p=neglog10_pval ln_p=pval",
            "low_confidence=low_confidence",
        ),
        required=groups_of("chr pos ref alt beta se neglog10_pval|pval low_confidence_*"),
        prepare=layouts.low_confidence,
    ),
    GwasFormat(
        name="Neale lab UKB",
        columns=columns_of(
            "key=variant variant_id=rsid minor_allele=minor_allele minor_af=minor_AF",
            "low_confidence=low_confidence_variant n=n_complete_samples|nCompleteSamples beta=beta se=se",
            "z=tstat p=pval",
        ),
        required=groups_of("variant n_complete_samples|nCompleteSamples AC ytx beta se tstat|pval"),
        prepare=layouts.neale,
        also_missing=frozenset({"NaN"}),
    ),
    GwasFormat(
        name="PGC vcf-like",
        columns=columns_of(
            "variant_id=ID chrom=CHROM position=POS effect_allele=A1 other_allele=A2 eaf_case=FCAS",
            "eaf_control=FCON info=IMPINFO beta=BETA se=SE p=PVAL n_case=NCAS n_control=NCON n_eff=NEFF",
            "n_eff_half=NEFFDIV2",
        ),
        required=groups_of("CHROM ID POS A1 A2 FCAS|FCON|IMPINFO BETA SE PVAL"),
    ),
    GwasFormat(
        name="PGC daner",
        columns=columns_of(
            "variant_id=SNP chrom=CHR position=BP effect_allele=A1 other_allele=A2 eaf_case=FRQ_A_*",
            "eaf_control=FRQ_U_* info=INFO odds_ratio=OR se=SE p=P n_case=Nca n_control=Nco",
            "n_eff_half=Neff_half n_eff=Neff",
        ),
        required=groups_of("CHR SNP BP A1 A2 FRQ_A_* FRQ_U_* OR SE P"),
        constants=daner_counts,
    ),
    GwasFormat(
        name="PGC 2014",
        columns=columns_of(
            "variant_id=snpid chrom=hg19chrc position=bp effect_allele=a1 other_allele=a2 info=info",
            "odds_ratio=or se=se p=p",
        ),
        required=groups_of("hg19chrc snpid a1 a2 bp or se p"),
    ),
)
