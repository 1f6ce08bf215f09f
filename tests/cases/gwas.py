"""One small file of every format, all of the same two variants."""

from __future__ import annotations

# Two variants, the same in every format. Alleles are effect/other: rs1 1:1000 A/G, rs2 2:2000 CT/C.
BOLT = """SNP CHR BP GENPOS ALLELE1 ALLELE0 A1FREQ INFO CHISQ_LINREG P_LINREG BETA SE CHISQ_BOLT_LMM_INF P_BOLT_LMM_INF CHISQ_BOLT_LMM P_BOLT_LMM
rs1 1 1000 0.1 A G 0.25 0.9 3.9 0.05 -0.02 0.01 4.0 0.045 4.41 0.036
rs2 2 2000 0.1 CT C 0.75 0.8 8.5 0.004 0.03 0.01 9.0 0.0027 9.61 0.0019""".replace(" ", "\t")
BOLT_F_MISS = """SNP CHR BP GENPOS ALLELE1 ALLELE0 A1FREQ F_MISS BETA SE P_BOLT_LMM_INF
rs1 1 1000 0.1 A G 0.25 0.1 -0.02 0.01 0.0455
rs2 2 2000 0.1 CT C 0.75 0 0.03 0.01 0.0027""".replace(" ", "\t")
ALKES = """SNP CHR POS A1 A2 REF EAF Beta se P N INFO
rs1 1 1000 A G G 0.25 -0.02 0.01 4.6E-02 1000 0.9
rs2 2 2000 CT C C 0.75 0.03 0.01 2.7E-03 900 0.8""".replace(" ", "\t")
FASTGWA = """CHR SNP POS A1 A2 N AF1 BETA SE P
1 rs1 1000 A G 1000 0.25 -0.02 0.01 0.0455
2 rs2 2000 CT C 900 0.75 0.03 0.01 0.0027""".replace(" ", "\t")
FASTGWA_GLMM = """CHR SNP POS A1 A2 N AF1 T SE_T P_noSPA BETA SE P CONVERGE
1 rs1 1000 A G 1000 0.25 -1 1 0.0455 -0.02 0.01 0.0455 1
2 rs2 2000 CT C 900 0.75 1 1 0.0027 0.03 0.01 0.0027 1""".replace(" ", "\t")
REGENIE = """CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ INFO N TEST BETA SE CHISQ LOG10P EXTRA
1 1000 rs1 G A 0.25 0.9 1000 ADD -0.02 0.01 4.41 1.447 NA
1 1000 rs1 G A 0.25 0.9 1000 ADD-INT_SNP 0.5 0.01 2500 500 NA
2 2000 rs2 C CT 0.75 0.8 900 ADD 0.03 0.01 9.61 2.713 NA
2 3000 rs3 C T 0.75 0.8 900 ADD NA NA NA NA TEST_FAIL"""
REGENIE_BINARY = """CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ A1FREQ_CASES A1FREQ_CONTROLS INFO N N_CASES N_CONTROLS TEST BETA SE CHISQ LOG10P EXTRA
1 1000 rs1 G A 0.25 0.2 0.3 0.9 1000 200 800 ADD -0.02 0.01 4 1.342 NA
2 2000 rs2 C CT 0.75 0.7 0.8 0.8 900 100 800 ADD 0.03 0.01 9 2.568 NA"""
HTP = """Name Chr Pos Ref Alt Trait Cohort Model Effect LCI_Effect UCI_Effect Pval AAF Num_Cases Cases_Ref Cases_Het Cases_Alt Num_Controls Controls_Ref Controls_Het Controls_Alt Info
rs1 1 1000 G A y c ADD-WGR-LR -0.02 -0.04 0 0.0455 0.25 1000 1 1 1 NA NA NA NA REGENIE_SE=0.01;INFO=0.9;MAC=20.0
rs2 2 2000 C CT y c ADD-WGR-LR 0.03 0.01 0.05 0.0027 0.75 900 1 1 1 NA NA NA NA REGENIE_SE=0.01;INFO=0.8;MAC=20.0""".replace(
    " ", "\t"
)
HTP_BINARY = """Name Chr Pos Ref Alt Trait Cohort Model Effect LCI_Effect UCI_Effect Pval AAF Num_Cases Cases_Ref Cases_Het Cases_Alt Num_Controls Controls_Ref Controls_Het Controls_Alt Info
rs1 1 1000 G A y c ADD-WGR-FIRTH 0.9802 0.96 1 0.0455 0.25 200 1 1 1 800 1 1 1 REGENIE_BETA=-0.02;REGENIE_SE=0.01;MAC=20.0
rs2 2 2000 C CT y c ADD-WGR-FIRTH 1.0305 1 1.1 0.0027 0.75 100 1 1 1 800 1 1 1 REGENIE_BETA=0.03;REGENIE_SE=0.01;MAC=20.0""".replace(
    " ", "\t"
)
SAIGE = """CHR POS MarkerID Allele1 Allele2 AC_Allele2 AF_Allele2 imputationInfo BETA SE Tstat var p.value N
1 1000 1:1000 G A 500 0.25 0.9 -0.02 0.01 -2 1 0.0455 1000
2 2000 2:2000 C CT 500 0.75 0.8 0.03 0.01 3 1 0.0027 900""".replace(" ", "\t")
SAIGE_BINARY = """CHR POS MarkerID Allele1 Allele2 AC_Allele2 AF_Allele2 MissingRate BETA SE Tstat var p.value p.value.NA Is.SPA AF_case AF_ctrl N_case N_ctrl
1 1000 1:1000 G A 500 0.25 0 -0.02 0.01 -2 1 0.0455 0.0455 true 0.2 0.3 200 800
2 2000 2:2000 C CT 500 0.75 0 0.03 0.01 3 1 0.0027 0.0027 false 0.2 0.3 100 800""".replace(" ", "\t")
PLINK2 = """#CHROM POS ID REF ALT PROVISIONAL_REF? A1 OMITTED A1_FREQ MACH_R2 TEST OBS_CT BETA SE T_STAT P ERRCODE
1 1000 rs1 A G N A G 0.25 0.9 ADD 1000 -0.02 0.01 -2.1 0.036 .
1 1000 rs1 A G N A G 0.25 0.9 COV1 1000 0.5 0.01 50 0 .
2 2000 rs2 C CT N CT C 0.75 0.8 ADD 900 0.03 0.01 3.1 0.0019 .
2 3000 rs3 C T N T C 0.75 0.8 ADD 900 NA NA NA NA CONST_OMITTED_ALLELE""".replace(" ", "\t")
PLINK2_LOGISTIC = """#CHROM POS ID REF ALT A1 FIRTH? TEST OBS_CT OR LOG(OR)_SE Z_STAT LOG10_P ERRCODE
1 1000 rs1 A G A N ADD 1000 0.5 0.3465735902799726 -2.5 1.3420 .
2 2000 rs2 C CT CT N ADD 900 2 0.23104906018664842 2.5 2.5687 .
2 3000 rs3 C T,G T N ADD 900 2 0.2 2 1.3 .
2 4000 rs4 C T,G C N ADD 900 2 0.2 2 1.3 .""".replace(" ", "\t")
SSF = """chromosome base_pair_location effect_allele other_allele beta standard_error effect_allele_frequency p_value rsid n
1 1000 A G -0.02 0.01 0.25 0.0455 rs1 1000
2 2000 CT C 0.03 0.01 #NA 0.0027 #NA 900
23 2000 CT C 0.03 0.01 0.2 0.0027 rs9 900""".replace(" ", "\t")
SSF_OR = """chromosome base_pair_location effect_allele other_allele odds_ratio standard_error effect_allele_frequency neg_log_10_p_value rsid n
1 1000 A G 0.5 0.3465735902799726 0.25 1.342 rs1 1000
2 2000 CT C 2 0.23104906018664842 0.75 2.5687 rs2 900""".replace(" ", "\t")
COJO = """SNP A1 A2 freq b se p N
rs1 A G 0.25 -0.02 0.01 0.0455 1000
rs2 CT C 0.75 0.03 0.01 0.0027 900"""
LDSC = "SNP\tA1\tA2\tN\tZ\nrs1\tA\tG\t1000\t-2\nrs2\tCT\tC\t900\t3\nrs3\tA\tG\t\t\n"
VCF = """##fileformat=VCFv4.2
##contig=<ID=1,length=249250621,assembly=HG19/GRCh37>
##SAMPLE=<ID=ieu-a-2,TotalControls=800,TotalCases=200,StudyType=Continuous>
#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT ieu-a-2
1 1000 rs1 G A . PASS AF=0.25 ES:SE:LP:AF:SS:ID -0.02:0.01:1.342:0.25:1000:rs1
2 2000 . C CT . PASS . AF:ES:SE:SS:LP 0.75:0.03:0.01:900:2.5687""".replace(" ", "\t")

METAL = """MarkerName Allele1 Allele2 Freq1 FreqSE Weight Zscore P-value Direction
rs1 a g 0.25 0.01 1000 -2 0.0455 --
rs2 ct c 0.75 0.01 900 3 0.0027 ++""".replace(" ", "\t")
METAL_STDERR = """MarkerName Allele1 Allele2 Freq1 Effect StdErr P-value Direction TotalSampleSize Chromosome Position
rs1 a g 0.25 -0.02 0.01 0.0455 -- 1000 1 1000
rs2 ct c 0.75 0.03 0.01 0.0027 ++ 900 2 2000""".replace(" ", "\t")
MTAG = """SNP CHR BP A1 A2 Z N FRQ mtag_beta mtag_se mtag_z mtag_pval
rs1 1 1000 A G -1 1000 0.25 -0.02 0.01 -2 0.0455
rs2 2 2000 CT C 1 900 0.75 0.03 0.01 3 0.0027""".replace(" ", "\t")
HARMONISED = """hm_variant_id hm_rsid hm_chrom hm_pos hm_other_allele hm_effect_allele hm_beta hm_odds_ratio hm_effect_allele_frequency hm_code effect_allele other_allele beta standard_error p_value n
1_1000_G_A rs1 1 1000 G A -0.02 NA 0.25 10 G A 0.02 0.01 0.0455 1000
2_2000_C_CT rs2 2 2000 C CT 0.03 NA 0.75 10 CT C 0.03 0.01 0.0027 900""".replace(" ", "\t")
FINNGEN = """#chrom pos ref alt rsids nearest_genes pval mlogp beta sebeta af_alt af_alt_cases af_alt_controls
1 1000 G A rs1 GENE1 0.0455 1.342 -0.02 0.01 0.25 0.24 0.26
2 2000 C CT rs2,rs22 GENE2 0.0027 2.5687 0.03 0.01 0.75 0.74 0.76""".replace(" ", "\t")
GBMI = """#CHR POS REF ALT rsid all_meta_AF inv_var_meta_beta inv_var_meta_sebeta inv_var_meta_p inv_var_het_p direction N_case N_ctrl n_dataset n_bbk is_strand_flip is_diff_AF_gnomAD
1 1000 G A rs1 0.25 -0.02 0.01 0.0455 0.5 -- 500 500 2 2 no no
2 2000 C CT rs2 0.75 0.03 0.01 0.0027 0.5 ++ 450 450 2 2 no no""".replace(" ", "\t")
PAN_UKB = """chr pos ref alt af_EUR beta_EUR se_EUR neglog10_pval_EUR low_confidence_EUR
1 1000 G A 0.25 -0.02 0.01 1.342 false
2 2000 C CT 0.75 0.03 0.01 2.5687 true""".replace(" ", "\t")
PAN_UKB_LN_P = """chr pos ref alt af_EUR beta_EUR se_EUR pval_EUR low_confidence_EUR
1 1000 G A 0.25 -0.02 0.01 -3.0900 false
2 2000 C CT 0.75 0.03 0.01 -5.9146 true""".replace(" ", "\t")
NEALE = """variant minor_allele minor_AF low_confidence_variant n_complete_samples AC ytx beta se tstat pval
1:1000:G:A A 0.25 false 1000 500 100 -0.02 0.01 -2.0 0.0455
2:2000:C:CT C 0.25 false 900 1350 120 0.03 0.01 3.0 0.0027
X:3000:C:T T 0.0001 true 1000 2 0.5 NaN NaN NaN NaN""".replace(" ", "\t")
PGC = """##fileType=PGCsumstatsV1.0
#CHROM POS ID A1 A2 BETA SE PVAL NGT FCAS FCON IMPINFO NEFFDIV2 NCAS NCON DIRE
1 1000 rs1 A G -0.02 0.01 0.0455 0 0.24 0.26 0.9 500 500 500 --
2 2000 rs2 CT C 0.03 0.01 0.0027 0 0.74 0.76 0.8 450 450 450 ++""".replace(" ", "\t")
DANER = """CHR SNP BP A1 A2 FRQ_A_500 FRQ_U_500 INFO OR SE P ngt Direction HetISqt HetDf HetPVa Nca Nco Neff_half
1 rs1 1000 A G 0.24 0.26 0.9 0.98019867 0.01 0.0455 0 -- 0.0 2 0.9 500 500 500
2 rs2 2000 CT C 0.74 0.76 0.8 1.03045453 0.01 0.0027 0 ++ 0.0 2 0.9 450 450 450"""
DANER_COUNTS_IN_NAMES = """CHR SNP BP A1 A2 FRQ_A_200 FRQ_U_800 INFO OR SE P
1 rs1 1000 A G 0.21 0.26 0.9 0.98019867 0.01 0.0455
2 rs2 2000 CT C 0.71 0.76 0.8 1.03045453 0.01 0.0027"""
PGC_2014 = """hg19chrc snpid a1 a2 bp info or se p ngt
chr1 rs1 A G 1000 0.9 0.98019867 0.01 0.0455 0
chr2 rs2 CT C 2000 0.8 1.03045453 0.01 0.0027 0""".replace(" ", "\t")
GWAMA = """rs_number reference_allele other_allele eaf beta se beta_95L beta_95U z p-value _-log10_p-value q_statistic q_p-value i2 n_studies n_samples effects
rs1 A G 0.25 -0.02 0.01 -0.04 0 -2 0.0455 1.342 0.1 0.7 0 2 1000 --
rs2 CT C 0.75 0.03 0.01 0.01 0.05 3 0.0027 2.5687 0.1 0.7 0 2 900 ++""".replace(" ", "\t")
PLINK1_META = """ CHR BP SNP A1 A2 N P P(R) OR OR(R) Q I
 1 1000 rs1 A G 2 0.0455 0.1 0.98019867 0.98 0.5 0
 2 2000 rs2 CT C 2 0.0027 0.1 1.03045453 1.03 0.5 0"""
SNPTEST = """alternate_ids rsid chromosome position alleleA alleleB index info all_AA all_AB all_BB all_NULL all_total all_maf frequentist_add_pvalue frequentist_add_info frequentist_add_beta_1 frequentist_add_se_1 comment
x rs1 1 1000 G A 1 0.9 562.5 375 62.5 0 1000 0.25 0.0455 0.9 -0.02 0.01 NA
x rs2 2 2000 C CT 2 0.8 56.25 337.5 506.25 0 900 0.25 0.0027 0.8 0.03 0.01 NA"""
POLYFUN = """SNP CHR BP A1 A2 N Z MAF
rs1 1 1000 A G 1000 -2 0.25
rs2 2 2000 CT C 900 3 0.25""".replace(" ", "\t")

CASES = {
    "BOLT-LMM": (BOLT, "1000"),
    "alkesgroup UKBB": (ALKES, None),
    "fastGWA": (FASTGWA, None),
    "fastGWA-GLMM": (FASTGWA_GLMM, None),
    "REGENIE": (REGENIE, None),
    "REGENIE --htp": (HTP, None),
    "SAIGE": (SAIGE, None),
    "PLINK2 .glm": (PLINK2, None),
    "PLINK2 .glm logistic": (PLINK2_LOGISTIC, None),
    "GWAS-SSF": (SSF, None),
    "GWAS-SSF odds ratio": (SSF_OR, None),
    "GWAS-VCF": (VCF, None),
    "COJO .ma": (COJO, None),
    "LDSC .sumstats": (LDSC, None),
    "METAL": (METAL, None),
    "METAL inverse variance": (METAL_STDERR, None),
    "MTAG": (MTAG, None),
    "GWAS Catalog, harmonised columns": (HARMONISED, None),
    "FinnGen": (FINNGEN, "1000"),
    "GBMI": (GBMI, None),
    "Pan-UKB": (PAN_UKB, "1000"),
    "Pan-UKB, ln p": (PAN_UKB_LN_P, "1000"),
    "Neale lab UKB": (NEALE, None),
    "PGC vcf-like": (PGC, None),
    "PGC daner": (DANER, None),
    "PGC 2014": (PGC_2014, "500,500"),
    "PolyFun": (POLYFUN, None),
    "GWAMA": (GWAMA, None),
    "PLINK1 .meta": (PLINK1_META, "1000"),
    "SNPTEST": (SNPTEST, None),
}
