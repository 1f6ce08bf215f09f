"""Cohorts from simulated files against what was simulated, every drop rule, and bad input that leaves nothing behind."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.prepare import GENES, WINDOW, Study, gene_id, make_study
from varfx.errors import ConfigError, DataError, FormatError, HarmonisationError, StoreError, VarfxError
from varfx.expression.cohort import tables
from varfx.expression.cohort.genes import join_gtf, near_other_tss, stretches
from varfx.expression.cohort.people import join_people
from varfx.expression.cohort.prepare import PrepareConfig, PrepareFiles, prepare
from varfx.expression.cohort.splits import SplitConfig
from varfx.expression.cohort.store import Cohort
from varfx.io import sealed, sealed_folder
from varfx.io.ledger import Sieve, counts_of

KEPT = ["PLUS", "MINUS", "SHARED", "NEAR", "LAST"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def cohort(study: Study) -> Cohort:
    return run(study, study.folder / "cohort")


def run(study: Study, out: Path, *, overwrite: bool = False, **changes: object) -> Cohort:
    options = study.options(**changes)
    names = set(PrepareFiles.__dataclass_fields__)
    inputs = {name: value for name, value in options.items() if name in names}
    inputs["genotypes"] = (inputs["genotypes"],)
    config = PrepareConfig(**{name: value for name, value in options.items() if name not in names})  # type: ignore[arg-type]
    return prepare(PrepareFiles(**inputs), out, config, overwrite=overwrite)  # type: ignore[arg-type]


def dropped(cohort: Cohort, what: str) -> dict[str, int]:
    first, *rows = (row for row in cohort.metadata["ledger"][what] if "left" in row)
    assert first["count"] == first["left"]
    return {row["step"]: row["count"] for row in rows if row["count"]}


def test_each_rule_drops_its_genes_and_counts_them(cohort: Cohort) -> None:
    assert cohort.genes["name"].to_list() == KEPT  # genome order
    assert cohort.metadata["ledger"]["genes"][0] == {
        "step": "in the expression file",
        "count": len(GENES) + 1,
        "note": "",
        "left": len(GENES) + 1,
    }
    assert dropped(cohort, "genes") == {
        "not in the GTF": 1,
        "another gene type": 1,
        "another TSS within 64 bases": 2,
        "expression with gaps": 1,
        "constant expression in training individuals": 1,
        "no genotypes of the chromosome": 1,
        "window over the end of the chromosome": 2,
        "window with more than 0 bases N": 1,
        "no variant that varies in the window": 1,
    }
    assert cohort.metadata["ledger"]["genes"][-1]["left"] == len(KEPT)


def test_people_are_joined_by_name_whatever_their_order(cohort: Cohort, study: Study) -> None:
    assert list(cohort.people) == [name for name in study.people if name in study.expressed]
    assert dropped(cohort, "people") == {"without expression": 3}
    columns = [study.expressed.index(name) for name in cohort.people]
    expected = np.array([study.values[name][columns] for name in KEPT])
    np.testing.assert_allclose(cohort.expression(), expected, rtol=1e-6)
    covariates = tables.read_covariates(study.folder / "covariates.txt")
    assert cohort.covariates is not None
    np.testing.assert_array_equal(cohort.covariates, covariates.values[:, columns])
    assert cohort.covariate_names == ("PC0", "PC1")


@pytest.mark.parametrize("name", KEPT)
def test_genotypes_and_reference_of_a_window(cohort: Cohort, study: Study, name: str) -> None:
    _, strand, tss, _ = GENES[name]
    gene = cohort.gene(gene_id(name))
    assert (gene.name, gene.tss, gene.strand, gene.end - gene.start) == (name, tss, strand, WINDOW)
    text = study.genome["22"][gene.start : gene.end]
    assert "".join("ACGTN"[code] for code in cohort.reference(gene.gene_id)) == text
    oriented = text if strand == "+" else text[::-1]
    assert oriented[WINDOW // 2] == study.genome["22"][tss - 1]
    assert (gene.start + WINDOW // 2 if strand == "+" else gene.end - 1 - WINDOW // 2) == tss - 1
    inside = np.flatnonzero((study.positions > gene.start) & (study.positions <= gene.end))
    who = [study.people.index(person) for person in cohort.people]
    haplotypes = study.haplotypes[inside][:, who]
    variants, rows = cohort.window_variants(gene.gene_id)
    assert variants["position"].to_list() == study.positions[inside].tolist()
    assert variants.equals(cohort.variants[rows])
    np.testing.assert_array_equal(cohort.dosages(gene.gene_id), haplotypes.sum(axis=2))
    np.testing.assert_array_equal(cohort.haplotypes(gene.gene_id), haplotypes)


def test_variants_of_overlapping_windows_are_stored_once(cohort: Cohort) -> None:
    keys = cohort.variants.select("chrom", "position", "effect_allele")
    assert keys.height == keys.unique().height
    assert cohort.genes["num_variants"].sum() > cohort.variants.height
    assert cohort.variants["position"].is_sorted()


def test_nobodys_sequence_is_written(cohort: Cohort) -> None:
    names = {path.relative_to(cohort.path).parts[0] for path in cohort.path.rglob("*") if path.is_file()}
    assert names == {
        "cohort.json", "manifest.json", "genes.parquet", "variants.parquet", "expression.parquet", "covariates.parquet",
        "genotypes.zarr", "reference.zarr", "splits",
    }  # fmt: skip
    assert sealed_folder.check_directory(cohort.path) > 10


def test_the_same_command_gives_the_same_arrays_and_splits(cohort: Cohort, study: Study, tmp_path: Path) -> None:
    again = run(study, tmp_path / "again")
    ours, theirs = sealed_folder.read_manifest(cohort.path), sealed_folder.read_manifest(again.path)
    differing = {name for name in ours if ours[name] != theirs[name]}
    assert differing <= {"cohort.json"}  # the time


def test_splits_partition_people_and_separate_windows(cohort: Cohort) -> None:
    tested: list[int] = []
    for number in range(cohort.num_folds):
        fold = cohort.fold(number)
        together = np.concatenate([fold.train, fold.tune, fold.test])
        assert sorted(together) == list(range(len(cohort.people)))
        tested += fold.test.tolist()
    assert len(tested) == len(set(tested))
    assert set(cohort.genes_train) | set(cohort.genes_heldout) == set(cohort.genes["gene_id"])
    assert len(cohort.genes_heldout) == 1
    assert gene_id("MINUS") not in cohort.genes_heldout  # with SHARED it would be two of five
    assert gene_id("SHARED") not in cohort.genes_heldout


def test_variants_without_carriers_are_left_out_but_not_those_of_everyone(study: Study, tmp_path: Path) -> None:
    inside = next(row for row, place in enumerate(study.positions) if abs(place - GENES["PLUS"][2]) < 400)
    changed = make_study(_folder(tmp_path, "other"))
    lines = gzip.decompress((changed.folder / "genotypes.vcf.gz").read_bytes()).decode().splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("#CHROM")) + 1
    for offset, call in ((0, "0|0"), (1, "1|1")):
        fields = lines[header + inside + offset].split("\t")
        lines[header + inside + offset] = "\t".join([*fields[:9], *[call] * len(changed.people)])
    _write_vcf(changed.folder, lines)
    cohort = run(changed, tmp_path / "cohort")
    positions = cohort.variants["position"].to_list()
    assert study.positions[inside] not in positions
    assert study.positions[inside + 1] in positions
    assert counts_of(cohort.metadata["ledger"]["genotypes"])["without carriers"] == 1


def test_lists_of_people_and_relatives(study: Study, tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("\n".join(study.people[3:25]) + "\n")
    (tmp_path / "exclude.txt").write_text("S05\nunknown\n")
    (tmp_path / "pairs.txt").write_text("#id1 id2 kinship\nS06 S07 0.25\nS07 S08 0.5\nS01 S09 0.5\n")
    lists = {"people": tmp_path / "keep.txt", "exclude_people": tmp_path / "exclude.txt"}
    cohort = run(study, tmp_path / "apart", **lists, relatives=tmp_path / "pairs.txt", relatives_rule="exclude")
    assert dropped(cohort, "people") == {
        "without expression": 3, "not listed in --people": 5, "excluded": 1, "relatives of others": 1,
    }  # fmt: skip
    assert {"S06", "S08"} <= set(cohort.people)
    assert not {"S05", "S07"} & set(cohort.people)
    cohort = run(study, tmp_path / "together", **lists, relatives=tmp_path / "pairs.txt")
    trio = {cohort.people.index(name) for name in ("S06", "S07", "S08")}
    for number in range(3):
        fold = cohort.fold(number)
        assert [len(trio & set(part.tolist())) for part in (fold.train, fold.tune, fold.test)].count(0) == 2


def test_held_out_genes_by_file(study: Study, tmp_path: Path) -> None:
    (tmp_path / "genes.txt").write_text(f"{gene_id('PLUS')}.7\nENSG00000999999\n")
    cohort = run(study, tmp_path / "cohort", heldout_genes=tmp_path / "genes.txt")
    assert cohort.genes_heldout == (gene_id("PLUS"),)
    (tmp_path / "genes.txt").write_text("BRCA1\n")
    with pytest.raises(DataError, match="none of its 1 genes is among the 5 of the cohort"):
        run(study, tmp_path / "none", heldout_genes=tmp_path / "genes.txt")


def test_options_keep_more_genes(study: Study, tmp_path: Path) -> None:
    cohort = run(study, tmp_path / "cohort", gene_types=(), tss_distance=-1, max_n=5, phased="no")
    assert cohort.genes["name"].to_list() == [
        "PLUS", "MINUS", "SHARED", "NONCODING", "CROWDED1", "CROWDED2", "NEAR", "MASKED", "LAST",
    ]  # fmt: skip
    assert cohort.genes.filter(pl.col("name") == "MASKED")["masked_bases"].item() == 5
    assert not cohort.phased
    with pytest.raises(DataError, match="no haplotypes"):
        cohort.haplotypes(gene_id("PLUS"))


def test_counts_and_tpm_in_gtex_order(study: Study, tmp_path: Path) -> None:
    from varfx.expression.cohort.normalise import counts_per_million, tmm_factors

    rng = np.random.default_rng(1)
    samples = [f"sample-{name}" for name in study.expressed] + ["sample-none"]
    counts = rng.poisson(rng.gamma(1, 200, (len(GENES), 1)) * rng.uniform(0.5, 2, (1, len(samples)))).astype(float)
    counts[list(GENES).index("SHARED")] = 1  # low
    tpm = counts / counts.sum(axis=0) * 1e6
    for name, values, order in (("counts", counts, 1), ("tpm", tpm, -1)):
        rows = [
            [f"{gene_id(gene)}.2", gene, *map(repr, line.tolist())] for gene, line in zip(GENES, values, strict=True)
        ]
        head = ["#1.2", f"{len(rows)}\t{len(samples)}", "\t".join(["Name", "Description", *samples])]
        (tmp_path / f"{name}.gct").write_text("\n".join([*head, *("\t".join(row) for row in rows[::order])]) + "\n")
    lines = [f"{sample}\t{sample.removeprefix('sample-')}" for sample in samples[:-1]]
    (tmp_path / "samples.txt").write_text("\n".join(lines) + "\n")
    gcts = {"expression": None, "counts": tmp_path / "counts.gct", "tpm": tmp_path / "tpm.gct"}
    cohort = run(study, tmp_path / "cohort", **gcts, samples=tmp_path / "samples.txt")
    assert dropped(cohort, "genes")["low counts or TPM"] == 1
    assert gene_id("SHARED") not in cohort.genes["gene_id"]
    used = counts[:, [study.expressed.index(name) for name in cohort.people]]
    expected = counts_per_million(used, tmm_factors(used))[[list(GENES).index(name) for name in cohort.genes["name"]]]
    np.testing.assert_allclose(cohort.expression(), expected, rtol=1e-6)
    (tmp_path / "tpm.gct").write_text((tmp_path / "tpm.gct").read_text().replace(gene_id("LAST"), "ENSG00000000777"))
    with pytest.raises(DataError, match="different genes: 2 are in one only, first ENSG"):
        run(study, tmp_path / "differ", **gcts, samples=tmp_path / "samples.txt")


def test_a_cohort_is_replaced_only_when_told_and_other_folders_never(study: Study, tmp_path: Path) -> None:
    first = run(study, tmp_path / "cohort")
    with pytest.raises(StoreError, match=r"holds a finished cohort.*--overwrite"):
        run(study, tmp_path / "cohort")
    second = run(study, tmp_path / "cohort", overwrite=True, normalise="none")
    assert (first.normalise, second.normalise) == ("inverse-normal", "none")
    _folder(tmp_path, "mine").joinpath("notes.txt").write_text("keep")
    with pytest.raises(StoreError, match="mine` exists and is no cohort"):
        run(study, tmp_path / "mine", overwrite=True)
    run_folder = _folder(tmp_path, "run")
    sealed.write_json(run_folder / "run.json", {})
    sealed_folder.seal_directory(run_folder)
    with pytest.raises(StoreError, match="exists and is no cohort"):
        run(study, tmp_path / "run", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort", "mine", "run"]


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def _write_vcf(folder: Path, lines: list[str]) -> None:
    import pysam

    plain = folder / "genotypes.vcf"
    plain.write_text("\n".join(lines) + "\n")
    pysam.tabix_compress(str(plain), f"{plain}.gz", force=True)
    pysam.tabix_index(f"{plain}.gz", preset="vcf", force=True)
    plain.unlink()


def _no_common_people(study: Study) -> None:
    path = study.folder / "expression.bed.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"\tS", b"\tT").replace(b"\tX", b"\tY")))


def _wrong_reference(study: Study) -> None:
    path = study.folder / "reference.fa"
    path.write_text(path.read_text().translate(str.maketrans("ACGT", "GTAC")))  # neither REF nor ALT


def _constant(study: Study) -> None:
    path = study.folder / "expression.bed.gz"
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    flat = ["\t".join([*row.split("\t")[:6], *["1.5"] * len(study.expressed)]) for row in rows]
    path.write_bytes(gzip.compress("\n".join([header, *flat, ""]).encode()))


def _over_the_end(study: Study) -> None:
    path = study.folder / "genes.gtf.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    keep = [line for line in lines if '"BEYOND"' in line or '"BEFORE"' in line]
    path.write_bytes(gzip.compress("\n".join([*keep, ""]).encode()))


def _single_person(study: Study) -> None:
    lines = [f"{name}\t{'alone' if name == 'S09' else 'all'}" for name in study.people]
    (study.folder / "populations.txt").write_text("\n".join(lines) + "\n")


def _truncated_vcf(study: Study) -> None:
    path = study.folder / "genotypes.vcf.gz"
    path.write_bytes(path.read_bytes()[:-200])


def _text_in_expression(study: Study) -> None:
    path = study.folder / "expression.bed.gz"
    header, first, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    first = "\t".join([*first.split("\t")[:-1], "high"])
    path.write_bytes(gzip.compress("\n".join([header, first, *rows, ""]).encode()))


def _many_covariates(study: Study) -> None:
    lines = (study.folder / "covariates.txt").read_text().splitlines()
    rng = np.random.default_rng(0)
    more = [" ".join([f"K{k}", *rng.standard_normal(len(study.expressed)).astype(str)]) for k in range(25)]
    (study.folder / "covariates.txt").write_text("\n".join([*lines, *more, ""]))


BAD = {
    "no common individuals": (_no_common_people, {}, DataError, r"nobody in common: genotypes 30 \(S00, .*expression 30 \(T"),
    "wrong reference": (_wrong_reference, {}, DataError, r"REF is not the base of .* in 8 of 8 variants, first 22:"),
    "wrong build": (_wrong_reference, {"on_mismatch": "drop"}, DataError, "neither REF nor ALT is the base"),
    "constant expression": (_constant, {}, DataError, "No gene is left.*constant expression in training individuals: "),
    "windows over the end": (_over_the_end, {}, DataError, "No gene is left.*window over the end of the chromosome: 2"),
    "a single individual": (_single_person, {"populations": "populations.txt"}, DataError, r"a single individual, first alone \(S09\)"),
    "truncated VCF": (_truncated_vcf, {}, FormatError, "truncated"),
    "text in expression": (_text_in_expression, {}, FormatError, "1 cells are no finite numbers, first of gene ENSG.*'high'"),
    "too many covariates": (_many_covariates, {}, DataError, "27 covariates and an intercept explain anything in"),
    "no genotypes file": (lambda study: None, {"genotypes": "absent.vcf.gz"}, VarfxError, "absent.vcf.gz"),
    "no reference": (lambda study: None, {"reference": "absent.fa"}, FormatError, "absent.fa"),
    "no gtf": (lambda study: None, {"gtf": "absent.gtf"}, FormatError, "absent.gtf"),
    "no expression": (lambda study: None, {"expression": "absent.bed"}, FormatError, "absent.bed"),
    "relatives of nobody": (_single_person, {"relatives": "populations.txt"}, DataError, "none of its 30 pairs"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    spoil, changes, error, message = BAD[case]
    study = make_study(_folder(tmp_path, "study"))
    spoil(study)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    paths = {name: study.folder / file if name != "on_mismatch" else file for name, file in changes.items()}
    with pytest.raises(error, match=message) as raised:
        run(study, tmp_path / "cohort", **paths)
    assert "\n" not in str(raised.value)
    after = sorted(path.name for path in tmp_path.rglob("*") if not path.name.endswith(".fai"))
    assert after == before


def test_options_are_checked() -> None:
    files_ = {"genotypes": (Path("a.bed"),), "reference": Path("r.fa"), "gtf": Path("g.gtf")}
    for given in ({}, {"counts": Path("c")}, {"expression": Path("e"), "counts": Path("c"), "tpm": Path("t")}):
        with pytest.raises(ConfigError, match="either as --expression BED, or as both --counts"):
            PrepareFiles(**files_, **given)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="`genotypes` are needed"):
        PrepareFiles(**(files_ | {"genotypes": ()}), expression=Path("e"))  # type: ignore[arg-type]
    for option, message in (
        ({"window": 1}, "`window` must be at least 2"),
        ({"max_n": -1}, "`max_n` must be from 0"),
        ({"normalise": "log"}, "`normalise` must be inverse-normal, standardise, none, got 'log'"),
        ({"phased": "maybe"}, "`phased` must be"),
    ):
        with pytest.raises(ConfigError, match=message):
            PrepareConfig(**option)  # type: ignore[arg-type]


def test_every_file_of_a_plink_set_is_recorded(tmp_path: Path) -> None:
    for name in ("a.b.bed", "a.b.bim", "a.b.fam", "c.vcf.gz"):
        (tmp_path / name).touch()
    genotypes = (tmp_path / "a.b.bed", tmp_path / "c.vcf.gz")
    inputs = PrepareFiles(genotypes=genotypes, reference=Path("r"), gtf=Path("g"), expression=Path("e"))
    assert {name: path.name for name, path in inputs.named().items()} == {
        "reference": "r", "gtf": "g", "expression": "e",
        "genotypes.bed": "a.b.bed", "genotypes.bim": "a.b.bim", "genotypes.fam": "a.b.fam", "genotypes1": "c.vcf.gz",
    }  # fmt: skip


def test_held_out_populations_need_a_file(study: Study, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs --populations"):
        run(study, tmp_path / "cohort", split=SplitConfig(heldout_populations=("YRI",)))


def test_genes_near_another_tss() -> None:
    genes = pl.DataFrame({"chrom": ["1", "2", "1", "1", "1"], "tss": [100, 130, 164, 229, 100_000]})
    np.testing.assert_array_equal(near_other_tss(genes, 64), [True, False, True, False, False])
    np.testing.assert_array_equal(near_other_tss(genes, 65), [True, False, True, True, False])
    assert not near_other_tss(genes, -1).any()


def test_genes_of_another_build_are_refused() -> None:
    ids = [f"ENSG{number:011d}" for number in range(30)]
    tss = np.arange(30) * 10_000 + 50_000
    gtf = pl.DataFrame(
        {"gene_id": ids, "name": ids, "gene_type": "protein_coding", "chrom": "1", "strand": "+", "tss": tss}
    )
    bed = pl.DataFrame({"gene_id": ids, "chrom": "1", "start": tss - 1, "end": tss})
    sieve = Sieve(bed, "genes")
    join_gtf(sieve, gtf, ("protein_coding",), 64)
    assert sieve.frame.columns == ["gene_id", "name", "gene_type", "chrom", "strand", "tss"]
    with pytest.raises(
        HarmonisationError, match=r"30 of 30 genes lie elsewhere.*ENSG00000000000 \(1:50000 and 1:450001\)"
    ):
        join_gtf(Sieve(bed.with_columns(pl.col("start", "end") + 400_001), "genes"), gtf, (), 64)
    with pytest.raises(DataError, match="both need Ensembl ids"):
        join_gtf(Sieve(bed.with_columns(gene_id=pl.lit("BRCA1")), "genes"), gtf, (), 64)


def test_stretches_cover_each_base_of_the_windows_once() -> None:
    genes = pl.DataFrame({"chrom": ["1", "1", "1", "2"], "start": [0, 50, 500, 20], "end": [100, 150, 600, 120]})
    pieces = stretches(genes, 60)
    assert all(end - start <= 60 for _, start, end in pieces)
    covered = sorted((chrom, base) for chrom, start, end in pieces for base in range(start, end))
    expected = sorted({(chrom, base) for chrom, start, end in genes.iter_rows() for base in range(start, end)})
    assert covered == expected


def test_joining_names_examples_of_both() -> None:
    with pytest.raises(DataError, match=r"genotypes 2 \(A, B\), expression 4 \(a, b, c, \.\.\.\)"):
        join_people(["A", "B"], ["a", "b", "c", "d"])
    with pytest.raises(DataError, match="covariates have nobody in common"):
        join_people(["A", "B"], ["A", "B"], covariates=["x"])
    with pytest.raises(DataError, match=r"Nobody is left \(with genotypes: 2, excluded: 2\)"):
        join_people(["A", "B"], ["A", "B"], exclude=["A", "B"])


@pytest.mark.shared_data
def test_real_people(shared_data: Path, tmp_path: Path) -> None:
    inputs = PrepareFiles(
        genotypes=(shared_data / "genotypes/1KG_phase1_release_v3_chr22.1092.vcf.gz",),
        expression=shared_data / "expression/genes.50percent.chr22.bed.gz",
        covariates=shared_data / "expression/genes.covariates.pc50.txt.gz",
        reference=shared_data / "reference/derived_GRCh37_chr22_1-22000000.fa.gz",
        gtf=shared_data / "genes/gencode.v19.annotation.chr22.gtf.gz",
    )
    cohort = prepare(inputs, tmp_path / "cohort")
    assert len(cohort.people) == 330
    assert cohort.phased
    assert cohort.covariates is not None
    assert cohort.covariates.shape == (53, 330)
    steps = {step["step"]: step["left"] for step in cohort.metadata["ledger"]["genes"]}
    assert steps["window with more than 0 bases N"] == 50  # 56 protein-coding, 6 of them with another TSS near
    assert cohort.genes.height == 49
    assert counts_of(cohort.metadata["ledger"]["genotypes"])["mismatches"] == 0
    fold = cohort.fold(0)
    assert (fold.train.size, fold.tune.size, fold.test.size) == (264, 33, 33)


def test_published_folds_and_regions_divide_individuals_and_genes(study: Study, cohort: Cohort, tmp_path: Path) -> None:
    fold = cohort.fold(1)
    rows = [
        f"{cohort.people[row]},0,{part}"
        for part in ("train", "tune", "test")
        for row in getattr(fold, part)
        if (part, row) != ("train", fold.train[0])
    ]
    (tmp_path / "folds.csv").write_text("\n".join(["id,fold,part", *rows]) + "\n")
    regions = [("4000", "9500", "train"), ("14000", "16000", "valid"), ("29000", "31000", "test")]
    (tmp_path / "regions.bed").write_text("".join(f"chr22\t{start}\t{end}\t{part}\n" for start, end, part in regions))
    made = run(
        study,
        tmp_path / "made",
        split=SplitConfig(folds=str(tmp_path / "folds.csv")),
        regions=tmp_path / "regions.bed",
        region_size=100,
    )
    assert made.num_folds == 1
    np.testing.assert_array_equal(made.fold(0).test, fold.test)
    np.testing.assert_array_equal(made.fold(0).train, fold.train[1:])
    assert made.genes_train == tuple(gene_id(name) for name in ("PLUS", "MINUS", "SHARED"))
    assert made.genes_tune == (gene_id("NEAR"),)
    assert made.genes_heldout == (gene_id("NEAR"), gene_id("LAST"))
    notes = " ".join(row["note"] for row in made.metadata["ledger"]["people"])
    assert "are in no part of fold 0: not used there" in notes
    assert set(made.metadata["provenance"]["inputs"]) >= {"folds", "regions"}


def test_regions_of_another_genome_say_so(study: Study, tmp_path: Path) -> None:
    (tmp_path / "r.bed").write_text("chr21\t1\t900\ttrain\nchr22\t4000\t9500\ttest\n")
    with pytest.raises(DataError, match="no gene lies in a region for training"):
        run(study, tmp_path / "made", regions=tmp_path / "r.bed", region_size=100)
    assert not (tmp_path / "made").exists()
    with pytest.raises(ConfigError, match="both say which genes are held out"):
        run(study, tmp_path / "made", regions=tmp_path / "r.bed", heldout_genes=tmp_path / "r.bed")
