"""The formats of summary statistics by name: those of programs here, those of consortia and data bases in `releases`.

Statistics refer to `effect_allele`. `header.recognise` finds the format of a file.
"""

from __future__ import annotations

from varfx.gwas import layouts, vcf_rows
from varfx.gwas.format import GwasFormat, columns_of, groups_of
from varfx.gwas.releases import RELEASES

# The header that MungeSumstats writes: its A2 is the effect allele, where LDSC and PolyFun have A1.
_MUNGESUMSTATS = groups_of("SNP CHR BP A1 A2 FRQ|BETA|SE|P|INFO|OR|LOG_ODDS|SIGNED_SUMSTAT")

PROGRAMS: tuple[GwasFormat, ...] = (
    GwasFormat(
        name="BOLT-LMM",
        columns=columns_of(
            "variant_id=SNP chrom=CHR position=BP effect_allele=ALLELE1 other_allele=ALLELE0 eaf=A1FREQ",
            "info=INFO missingness=F_MISS beta=BETA se=SE chisq=CHISQ_BOLT_LMM chisq_inf=CHISQ_BOLT_LMM_INF",
            "chisq_linreg=CHISQ_LINREG p=P_BOLT_LMM_INF|P_BOLT_LMM",
        ),
        required=groups_of("SNP CHR BP ALLELE1 ALLELE0 A1FREQ BETA SE P_BOLT_LMM_INF|P_BOLT_LMM|P_LINREG"),
    ),
    GwasFormat(
        name="alkesgroup UKBB",
        columns=columns_of(
            "variant_id=SNP chrom=CHR position=POS effect_allele=A1 other_allele=A2 eaf=EAF beta=Beta se=se",
            "p=P n=N info=INFO",
        ),
        required=groups_of("SNP CHR POS A1 A2 REF EAF Beta se P N"),
    ),
    GwasFormat(
        name="fastGWA",
        columns=columns_of(
            "variant_id=SNP chrom=CHR position=POS effect_allele=A1 other_allele=A2 eaf=AF1 beta=BETA se=SE",
            "p=P n=N info=INFO",
        ),
        required=groups_of("CHR SNP POS A1 A2 N AF1 BETA SE P"),
    ),
    GwasFormat(
        name="REGENIE",
        columns=columns_of(
            "variant_id=ID chrom=CHROM position=GENPOS effect_allele=ALLELE1 other_allele=ALLELE0 eaf=A1FREQ",
            "info=INFO n=N n_case=N_CASES n_control=N_CONTROLS beta=BETA se=SE chisq=CHISQ neg_log10_p=LOG10P",
            "eaf_case=A1FREQ_CASES eaf_control=A1FREQ_CONTROLS test=TEST extra=EXTRA",
        ),
        required=groups_of("CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ N TEST BETA SE LOG10P|CHISQ"),
        prepare=layouts.regenie,
    ),
    GwasFormat(
        name="REGENIE --htp",
        columns=columns_of(
            "variant_id=Name chrom=Chr position=Pos effect_allele=Alt other_allele=Ref eaf=AAF test=Model",
            "effect=Effect effect_lower=LCI_Effect effect_upper=UCI_Effect p=Pval num_cases=Num_Cases",
            "num_controls=Num_Controls info_text=Info",
        ),
        required=groups_of("Name Chr Pos Ref Alt Model Effect Pval AAF Num_Cases Num_Controls Info"),
        prepare=layouts.regenie_htp,
    ),
    GwasFormat(
        name="SAIGE",
        columns=columns_of(
            "variant_id=MarkerID|rsid|SNPID chrom=CHR position=POS effect_allele=Allele2 other_allele=Allele1",
            "eaf=AF_Allele2 eaf_case=AF_case|AF.Cases eaf_control=AF_ctrl|AF.Controls info=imputationInfo",
            "beta=BETA se=SE p=p.value n=N n_case=N_case|N.Cases n_control=N_ctrl|N.Controls",
        ),
        required=groups_of("CHR POS MarkerID|SNPID|rsid Allele1 Allele2 AF_Allele2 BETA SE p.value"),
    ),
    GwasFormat(
        name="PLINK2 .glm",
        columns=columns_of(
            "variant_id=ID chrom=CHROM position=POS ref=REF alt=ALT effect_allele=A1 omitted=OMITTED|AX",
            "eaf=A1_FREQ eaf_case=A1_CASE_FREQ eaf_control=A1_CTRL_FREQ info=MACH_R2 test=TEST n=OBS_CT",
            "case_total=CASE_ALLELE_CT control_total=CTRL_ALLELE_CT case_alleles=A1_CASE_CT",
            "control_alleles=A1_CTRL_CT case_none=CASE_NON_A1_CT case_het=CASE_HET_A1_CT",
            "case_hom=CASE_HOM_A1_CT control_none=CTRL_NON_A1_CT control_het=CTRL_HET_A1_CT",
            "control_hom=CTRL_HOM_A1_CT beta=BETA odds_ratio=OR se=LOG(OR)_SE|SE",
            "z=T_STAT|Z_STAT|T_OR_F_STAT|Z_OR_F_STAT|Z_OR_CHISQ_STAT p=P neg_log10_p=LOG10_P|NEG_LOG10_P",
            "error_code=ERRCODE",
        ),
        required=groups_of("CHROM POS ID A1 OMITTED|AX|REF OMITTED|AX|ALT OBS_CT BETA|OR"),
        prepare=layouts.plink2,
    ),
    GwasFormat(
        name="GWAS-VCF",
        columns=columns_of(
            "variant_id=ID chrom=CHROM position=POS other_allele=REF effect_allele=ALT info_text=INFO",
            "format=FORMAT",
        ),
        required=groups_of("CHROM POS ID REF ALT QUAL FILTER INFO FORMAT"),
        prepare=vcf_rows.gwas_vcf,
    ),
    GwasFormat(
        name="COJO .ma",
        columns=columns_of("variant_id=SNP effect_allele=A1 other_allele=A2 eaf=freq beta=b se=se p=p n=N"),
        required=groups_of("SNP A1 A2 freq b se p N"),
    ),
    GwasFormat(
        name="METAL",
        columns=columns_of(
            "variant_id=MarkerName chrom=Chromosome position=Position effect_allele=Allele1",
            "other_allele=Allele2 eaf=Freq1 beta=Effect se=StdErr z=Zscore",
            "p=P-value|P_value|P.value|Pvalue log10_p=log(P) weight=Weight",
        ),
        required=groups_of(
            "MarkerName Allele1 Allele2 Effect|Zscore StdErr|Weight|N P-value|P_value|P.value|Pvalue|log(P) Direction"
        ),
        prepare=layouts.metal,
    ),
    GwasFormat(
        name="GWAMA",
        columns=columns_of(
            "variant_id=rs_number effect_allele=reference_allele other_allele=other_allele eaf=eaf beta=beta se=se",
            "odds_ratio=OR z=z p=p-value neg_log10_p=_-log10_p-value n=n_samples",
        ),
        required=groups_of("rs_number reference_allele other_allele eaf beta|OR z p-value n_studies n_samples effects"),
        ignored={"n_studies": "a number of studies"},
    ),
    GwasFormat(
        name="PLINK1 .meta",
        columns=columns_of(
            "variant_id=SNP chrom=CHR position=BP effect_allele=A1 other_allele=A2 p=P beta=BETA odds_ratio=OR"
        ),
        required=groups_of("CHR BP SNP A1 A2 N P P(R) BETA|OR BETA(R)|OR(R) Q I"),
        ignored={"N": "a number of studies", "P(R)": "of random effects", "OR(R)": "of random effects"},
    ),
    GwasFormat(
        name="SNPTEST",
        columns=columns_of(
            "variant_id=rsid chrom=chromosome position=position effect_allele=alleleB other_allele=alleleA info=info",
            "n=all_total n_case=cases_total n_control=controls_total maf=all_maf all_aa=all_AA all_ab=all_AB all_bb=all_BB",
            "beta=frequentist_add_beta_1* se=frequentist_add_se_1* p=frequentist_add_pvalue",
        ),
        required=groups_of("rsid position alleleA alleleB all_total frequentist_add_beta_1* frequentist_add_se_1*"),
        prepare=layouts.snptest,
    ),
    GwasFormat(
        name="MTAG",
        columns=columns_of(
            "variant_id=SNP|snpid chrom=CHR position=BP|bpos effect_allele=A1 other_allele=A2 eaf=FRQ|freq",
            "n=N z=mtag_z p=mtag_pval beta=mtag_beta se=mtag_se",
        ),
        required=groups_of("SNP|snpid A1 A2 N mtag_beta mtag_se mtag_z"),
        ignored={"Z": "z of the trait's own GWAS, before MTAG"},
        remark="z is mtag_z, but N counts the trait's own GWAS, and MTAG's z has the power of more: give that as --n",
    ),
    GwasFormat(
        name="PolyFun",
        columns=columns_of("variant_id=SNP chrom=CHR position=BP effect_allele=A1 other_allele=A2 z=Z n=N maf=MAF"),
        required=groups_of("SNP CHR BP A1 A2 Z N"),
        refused_with=_MUNGESUMSTATS,
    ),
    GwasFormat(
        name="LDSC .sumstats",
        columns=columns_of("variant_id=SNP effect_allele=A1 other_allele=A2 z=Z n=N"),
        required=groups_of("SNP N Z"),
        refused_with=_MUNGESUMSTATS,
    ),
)

FORMATS: tuple[GwasFormat, ...] = (*PROGRAMS, *RELEASES)

# For a header that no format fits and that says itself which allele is the effect allele: "A1" never does.
GENERIC = GwasFormat(name="generic", columns={}, required=(), prepare=layouts.generic)
