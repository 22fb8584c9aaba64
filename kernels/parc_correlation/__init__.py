"""Contract of `parc_correlation`: Spearman correlation of feature and label distances over pairs.

    parc_correlation(X, codes) -> float
    parc_correlation_vectors(X, Y) -> float

``X`` is (n, d), float16, float32 or float64, on a GPU bfloat16 too, any strides; ``codes`` (n,)
integers in [0, C); ``Y`` (n, k) float64 label vectors. Over all pairs i < j,

    feature distance = 1 - Pearson correlation of rows i and j of X, its columns standardised
    label distance   = 1 if codes[i] != codes[j] else 0,
                       or 1 - Pearson correlation of rows i and j of Y

and the result is Spearman's rank correlation between the two, ties averaged (PARC of Bolya et al.,
NeurIPS 2021, is 100 times this). A column without variance standardises to zero; a row without
variance has correlation 0 with every other. NaN when all feature or all label distances are equal.

Distances are compared at the resolution `RESOLUTION`, so that distances that are equal in exact
arithmetic, as between duplicate rows, are tied however they were rounded. With two label distances
the coefficient is a rank sum (Mann-Whitney U with the ties of both sides averaged).

The n x n matrix is never stored: memory beyond X is O(n d) for standardised rows where d is small,
blocks of them where it is large, and at most a gigabyte of pairs or counters.

The compiled version gives the same bits, those of its instruction set, on every run and for any
number of threads: pairs are multiplied in one order, and counted in integers.
"""

#: Distances that round to the same multiple of this are tied; their rounding error is some 1e-15.
RESOLUTION = 2.0**-36
