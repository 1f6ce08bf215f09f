"""What variants with high scores do: motifs, chromatin states, fine-mapped eQTLs, each against matched controls.

`motifs` reads MEME files and has exact p-values, `disruption` scores both alleles, `matching` finds controls, `enrichment` counts states
and `eqtl` judges scores. Start with `explain` (the command `expr explain`). Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.expression.explain.config import ExplainConfig
    from varfx.expression.explain.disruption import disruptions
    from varfx.expression.explain.enrichment import enrichment
    from varfx.expression.explain.eqtl import evaluate_eqtls
    from varfx.expression.explain.explain import Explained, explain_variants
    from varfx.expression.explain.motifs import Motif, read_meme

__all__ = [
    "ExplainConfig",
    "Explained",
    "Motif",
    "disruptions",
    "enrichment",
    "evaluate_eqtls",
    "explain_variants",
    "read_meme",
]

export(
    __name__,
    {
        "config": "ExplainConfig",
        "disruption": "disruptions",
        "enrichment": "enrichment",
        "eqtl": "evaluate_eqtls",
        "explain": "Explained explain_variants",
        "motifs": "Motif read_meme",
    },
)
