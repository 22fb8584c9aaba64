"""An interval that must hold PARC's correlation where all pairs at once do not fit in memory.

Pairs are counted in narrow bins of their correlation, block by block. Only the order of pairs in
the same bin is unknown, and that bounds the rank sum from both sides. Nothing is shared with the
package.
"""

from __future__ import annotations

import numpy as np
from numba import njit

N_BINS = 1 << 18


def parc_correlation_interval(Z, codes, block=1000) -> tuple[float, float]:
    """Least and greatest Spearman coefficient that the bin counts of the pairs allow.

    Parameters
    ----------
    Z : (n, d) array
        Features, which are standardised by column. No two pairs may have equal distances.
    codes : (n,) integers
    block : int
        Rows at a time.
    """
    Z = np.asarray(Z, dtype=np.float64)
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    Z -= Z.mean(axis=1, keepdims=True)
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    every = pair_counts(Z, block)
    same = np.zeros_like(every)
    for c in np.unique(codes):
        same += pair_counts(Z[codes == c], block)
    return interval_from_counts(same, every - same)


def pair_counts(rows, block) -> np.ndarray:
    """(N_BINS,) pairs of rows by their scalar product, from 1 down to -1: by rising distance."""
    counts = np.zeros(N_BINS, dtype=np.int64)
    for start in range(0, len(rows), block):
        own = rows[start : start + block]
        _count_products(own @ rows[start:].T, counts)
    return counts


@njit(cache=True)
def _count_products(products, counts):
    """Add the entries right of the diagonal to the counts of their bins."""
    n_bins = len(counts)
    for i in range(products.shape[0]):
        for j in range(i + 1, products.shape[1]):
            bin_ = int(0.5 * n_bins * (1.0 - products[i, j]))
            counts[min(max(bin_, 0), n_bins - 1)] += 1


def interval_from_counts(same, different) -> tuple[float, float]:
    """Least and greatest Spearman coefficient of binned distances, by a Mann-Whitney statistic."""
    n_same, n_different = float(same.sum()), float(different.sum())
    n_pairs = n_same + n_different
    below = np.concatenate([[0], np.cumsum(same)[:-1]]).astype(np.float64)
    least = float(different @ below)
    slack = float(np.maximum(different, 0).astype(np.float64) @ same)

    def coefficient(larger):
        """``larger``: pairs of pairs in which the one of different classes is the more distant."""
        gap = larger * n_pairs / (n_same * n_different) - 0.5 * n_pairs
        spread = np.sqrt((n_pairs**2 - 1.0) / 12.0)
        return float(gap * np.sqrt(n_same * n_different) / n_pairs / spread)

    return coefficient(least), coefficient(least + slack)
