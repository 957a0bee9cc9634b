"""Tolerances for comparing float32 results that were computed in different orders.

Instruction sets (SSE, AVX2, AVX-512, NEON), thread counts, memory alignment and batch sizes change the order in which
a kernel adds products, and whether it fuses multiplications into additions. Nothing else differs. The rounding errors
of a sum of n terms behave like a random walk: the relative error grows as sqrt(n) * u, with the unit roundoff
u = 2**-24 (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", 2019). Errors of consecutive
sums add in the same way. ``rounding`` gives eight standard deviations of that.

Tests must not use a tolerance that was fitted to one machine: use ``rounding`` with the size of the sums.
"""

UNIT_ROUNDOFF = 2.0**-24


def rounding(terms: int, steps: int = 1, magnitude: float = 1.0) -> float:
    """Return the largest difference to expect between two float32 evaluations of the same formula.

    Args:
        terms: Number of products in the longest sum.
        steps: Number of consecutive sums between input and output.
        magnitude: Typical size of the compared values, times the slope of what follows the last sum.
    """
    return 8 * (terms * steps) ** 0.5 * UNIT_ROUNDOFF * magnitude


# One transformer layer of CLIPSeg has six consecutive sums: projection, scores, weighting, output, two of the MLP.
_SUMS_PER_LAYER = 6

# Probability maps of the published architecture: MLP sums of 3072 products, 10 encoder and 3 decoder layers. Logits are
# of size 2, and the slope of the sigmoid is 1/4 at most.
SAME_MAPS = rounding(3072, 13 * _SUMS_PER_LAYER, magnitude=2 / 4)

# The text encoder of the published architecture has 12 layers with sums of 2048 products; embeddings are of size 1.
SAME_EMBEDDINGS = rounding(2048, 12 * _SUMS_PER_LAYER, magnitude=1.0)

# Linear interpolation between values in 0..1 along two axes. Coordinates of up to 64 samples are float32, so their
# rounding error is that of a value of size 64.
SAME_INTERPOLATION = rounding(1, 2, magnitude=64.0)
