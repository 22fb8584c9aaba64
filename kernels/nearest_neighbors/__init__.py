"""Contract of `nearest_neighbors`: the k nearest rows of every row, exact.

    nearest_neighbors(X, k, metric="euclidean", others=None) -> (indices, distances)

``X`` (n, d), float16, float32 or float64, any strides. For each row the k nearest rows of
``others`` (m, d), k <= m, or without them the k nearest other rows of X, k < n: a row is not
its own neighbour, its duplicates are. ``indices`` (n, k) int64, ``distances`` (n, k) float64,
nearest first; of equal distances the lower index comes first. The metrics are

    euclidean   |x - y|
    cosine      1 - x.y / (|x| |y|) = |u - v|^2 / 2 of the rows' directions u and v

taken from differences in float64. A row of zeros has a direction of its own, at a distance of 1
from all others; |u - v|^2 is rounded to multiples of `RESOLUTION`, so that distances that are
equal in exact arithmetic, as those from a row of zeros, are tied.
Candidates come from products in float32, rows centred, k + `SPARE` of each row; they are ranked
again by differences in float64. The answer is proven for each row by `uncertified`, and a row for
which it fails is compared with all others in float64. No n x m matrix is stored: memory beyond X is
one copy of the rows in float32, blocks of products, and the candidates. Distances are those of one
order of summation on every run and for any number of threads.

Euclidean distances that are equal in exact arithmetic are tied for duplicates and for small
integers; else rounding may decide between two that differ by a part in 1e15.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..array_namespace import Array

#: Squared distances between directions are multiples of this.
RESOLUTION = 2.0**-44

METRICS = ("euclidean", "cosine")
TIES = ("share", "smallest")

#: Candidates beyond k: the further behind the last of them is, the more rows are proven.
SPARE = 5
#: Features that are summed up in float32 before the sum is added to others: it bounds the error.
DEPTH = 256
#: Rounding of one operation in float32.
UNIT = 2.0**-24


def n_candidates(k: int, n_rows: int) -> int:
    """How many candidates are kept of so many rows that may be neighbours."""
    return min(k + SPARE, n_rows)


def product_error(n_features: int) -> float:
    """Bound of a float32 product's error by |x| |y|: rounded rows, then sums of `DEPTH` terms."""
    return (min(n_features, DEPTH) + -(-n_features // DEPTH) + 4) * UNIT


def uncertified(
    norms: Any, cutoffs: Any, reaches: Any, product_error: float, floor: float
) -> Array:
    """Which rows may have a neighbour that is no candidate.

    The score of y for x is x.y - |y|^2 / 2, the larger the nearer: |x - y|^2 / 2 is |x|^2 / 2 less
    it. A row farther from the origin than |x| + reach is farther from x than reach, whatever its
    score. All others' scores are off by no more than ``error``, so that those below the cutoff are
    farther than reach if |x|^2 / 2 - cutoff - error says so.

    Parameters
    ----------
    norms : (n,) float64 array
        |x| of the centred rows.
    cutoffs : (n,) float64 array
        Score of the last candidate, which no row has that is left out; -inf: none is left out.
    reaches : (n,) float64 array
        Distance of the k-th nearest candidate, and what it may have lost by being rounded.
    product_error : float
        See `product_error`.
    floor : float
        Bound of the error that centring leaves in a row.
    """
    reaches = reaches * (1.0 + 1e-12)
    farthest = (norms + reaches) * (1.0 + 1e-12)
    error = (product_error * norms + 2.0 * UNIT * farthest) * farthest
    error = error + floor * (norms + farthest) + TINY
    left = 0.5 * norms**2 * (1.0 - 1e-12) - cutoffs - error
    return ~(left > 0.5 * reaches**2)


#: What products of small numbers lose where float32 ends, in rows whose entries are up to one.
TINY = float(np.finfo(np.float32).tiny) * 2.0**20
