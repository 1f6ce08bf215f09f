"""Which directions of a reference's LD to trust, by the size of the reference."""

SMALL_REFERENCE = 5_000


def default_rank_variance(num_people: int) -> float:
    """The share of LD variance that is kept by default, from the sample size of the reference."""
    return 0.95 if num_people < SMALL_REFERENCE else 0.99
