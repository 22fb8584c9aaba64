"""What `parc_correlation` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Codes, Doubles, Features, Targets, declare


@declare(Doubles(), X=Features(narrow=True), codes=Codes())
def parc_correlation(X: Array, codes: Array, *, backend: str | None = None) -> float:
    """Spearman correlation of feature distance and "different class" over all pairs of samples.

    The feature distance of a pair is 1 - Pearson's correlation of its rows, the columns of X
    standardised first; ties are averaged. PARC (Bolya et al., NeurIPS 2021) is 100 times this. The
    n x n matrix is never stored.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    codes : (n,) integer array
        Classes, from 0 on.
    backend : str, optional
        Force a backend.

    Returns
    -------
    float
        In [-1, 1]; NaN where all feature distances or all label distances are equal. On the CPU it
        is exact for few pairs, else within an estimated 1e-9.

    Raises
    ------
    ValueError
        If the lengths differ, a code is negative, or the backend is not available.
    """


@declare(Doubles(), X=Features(narrow=True), Y=Targets())
def parc_correlation_vectors(X: Array, Y: Array, *, backend: str | None = None) -> float:
    """Spearman correlation of feature distance and label-vector distance over all pairs.

    Both distances are 1 - Pearson's correlation of two rows, see `parc_correlation`.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    Y : (n, k) real array
        Label vectors, finite.
    backend : str, optional
        Force a backend.

    Returns
    -------
    float
        In [-1, 1]; NaN where all feature distances or all label distances are equal.

    Raises
    ------
    ValueError
        If the lengths differ, Y is not finite, or the backend is not available or does not take so
        many samples: "numba" takes 23 170.
    """
