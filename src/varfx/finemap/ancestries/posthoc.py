"""In which ancestries does a signal exist? SuSiEx's post-hoc probabilities (Yuan et al. 2024, Nature Genetics 56:1841).

Every subset S of the ancestries, equally likely before, has the weight `sum_j exp( sum_{k in S} lbf_jk )` over the locus's variants j; the
empty one that of their number. P_k is the share of the subsets that contain k:

    P_k = sum_j BF_jk prod_{c != k} (1 + BF_jc) / sum_j prod_c (1 + BF_jc)
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import logsumexp


def posthoc_probabilities(log_bf: Float[ndarray, "ancestry variant"]) -> Float[ndarray, " ancestry"]:
    """P_k of each ancestry.

    Args:
        log_bf: natural log Bayes factor of each variant as the only one with the effect, per ancestry; 0 where it lacks the variant.
    """
    terms = np.logaddexp(0.0, log_bf)
    whole = logsumexp(terms.sum(axis=0))
    with_k = [logsumexp(log_bf[k] - terms[k] + terms.sum(axis=0)) for k in range(len(log_bf))]
    return np.asarray(np.exp(np.array(with_k) - whole))
