"""Genotype files of a small cohort's individuals, with insertions and deletions that its store lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cases.donors import write_fasta, write_vcf
from varfx.expression.cohort.store import Cohort


def files(
    home: Cohort,
    *,
    indels: bool,
    rows: Sequence[int] | None = None,
    prefix: str = "",
    phased: bool = False,
    exchanged: bool = False,
) -> tuple[tuple[Path, ...], Path]:
    """VCFs of the cohort's own substitutions, with an insertion and a deletion near each gene or not; and the genome.

    Args:
        home: a cohort of two genes, on chromosomes of their own.
        indels: whether there are any.
        rows: of the individuals written, in this order; by default all.
        prefix: before their names.
        phased: haplotypes of a phased cohort.
        exchanged: REF and ALT of every other substitution stand in the other order.
    """
    folder, rows = home.path.parent, range(len(home.people)) if rows is None else rows
    contigs, lines = {}, {chrom: [] for chrom in ("21", "22")}
    for gene_id in home.genes["gene_id"]:
        gene = home.gene(gene_id)
        bases = np.array(list("ACGT"))[home.reference(gene_id)]
        contigs[f"chr{gene.chrom}"] = "A" * gene.start + "".join(bases) + "A" * 300
        variants, _ = home.window_variants(gene_id)
        source = home.haplotypes(gene_id) if phased else home.dosages(gene_id)
        for number, (row, calls) in enumerate(zip(variants.iter_rows(named=True), source, strict=True)):
            alleles = [row["other_allele"], row["effect_allele"]]
            turned = exchanged and number % 2 == 1
            words = " ".join(_word(calls[place], turned) for place in rows)
            lines[gene.chrom].append((row["position"], f"{' '.join(alleles[::-1] if turned else alleles)} GT {words}"))
        if indels:
            for place, kind in ((gene.tss + 5, "insertion"), (gene.tss - 9, "deletion")):
                text = "".join(bases[place - 1 - gene.start : place + 2 - gene.start])
                ref, alt = (text[0], text[0] + "GG") if kind == "insertion" else (text, text[0])
                mark = "|" if phased else "/"
                words = " ".join((f"0{mark}1", f"0{mark}0", f"1{mark}1", f"1{mark}0")[number % 4] for number in rows)
                lines[gene.chrom].append((place, f"{ref} {alt} GT {words}"))
    name = f"{prefix}{'indels' if indels else 'plain'}{'phased' if phased else ''}"
    made = tuple(
        write_vcf(
            folder / f"{name}{chrom}.vcf.gz",
            [f"{chrom} {p} . {text}" for p, text in sorted(found)],
            [f"{prefix}{home.people[row]}" for row in rows],
            (chrom,),
        )
        for chrom, found in lines.items()
    )
    return made, write_fasta(folder / "r.fa", contigs)


def _word(call: np.ndarray, turned: bool) -> str:
    """A genotype: of a dosage without phase, of two haplotypes with it."""
    copies, mark = (
        (call.tolist(), "|") if np.ndim(call) else ({-1: [-1, -1], 0: [0, 0], 1: [0, 1], 2: [1, 1]}[int(call)], "/")
    )
    return mark.join("." if copy < 0 else str(1 - copy if turned else copy) for copy in copies)
