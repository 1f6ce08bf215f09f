"""A small PLINK 2 file set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pgenlib

PVAR = (
    "##fileformat=VCFv4.2\n##contig=<ID=22>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\n"
    "22\t100\trs1\tG\tA\t.\nchr22\t200\trs2\tC\tt\t.\n22\t300\trs3\tA\tAT\t.\n"
)
PSAM = "#FID\tIID\tSEX\nf1\ti1\t1\nf2\ti2\t2\nf3\ti3\tNA\nf4\ti4\tNA\nf5\ti5\tNA\n"
COUNTS_OF_ALT = np.array([[2, -9, 1, 0, 1], [0, 0, 2, 2, -9], [1, 1, 1, 1, 2]], dtype=np.int8)


def write_pgen(prefix: Path, counts: np.ndarray, pvar: str = PVAR, psam: str = PSAM) -> Path:
    """A PLINK 2 file set of counts of ALT, (variant, individual), -9 where missing."""
    with pgenlib.PgenWriter(
        f"{prefix}.pgen".encode(), counts.shape[1], variant_ct=counts.shape[0], nonref_flags=False
    ) as writer:
        writer.append_biallelic_batch(np.ascontiguousarray(counts, dtype=np.int8))
    Path(f"{prefix}.pvar").write_text(pvar)
    Path(f"{prefix}.psam").write_text(psam)
    return prefix
