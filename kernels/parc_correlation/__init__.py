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

Distances are compared at the resolution `RESOLUTION`: a pair's key is its distance in multiples of
this, an integer, so that distances that are equal in exact arithmetic, as between duplicate rows,
are tied however they were rounded. With two label distances the coefficient is a rank sum
(Mann-Whitney U with the ties of both sides averaged).

How it is counted
-----------------
Few pairs are sorted by their keys, and the result is exact. Of more, no list is kept: their keys
are counted in bins, and the pairs of one bin count as tied. The bins follow a sample of the pairs:
they are fine where many pairs lie. A bin with several keys may so have changed

- the sum over the pairs of rank times weight, which is the label distance's rank, or for class
  codes 1 where the classes differ. The order within a bin of m pairs changes it by at most m^2 / 8
  times the range of the weights; with s pairs within classes and d between them, by s d / 2;
- the variance of the ranks: by at most that of m tied pairs.

The second is a proof. Of the first, all bins at their worst would come to a million times what is
ever seen, so an estimate is used: `SIGMAS` times the root of the sum of the squares. It holds but
for a probability under 1e-10 (Hoeffding's inequality) *if* what bins change is independent from bin
to bin and zero in the mean: an assumption, of any data unproven. Where the sum of both is above
`TOLERANCE`, the bins that matter are split and their pairs counted again, at last in single keys,
which are true ties, as far as memory goes. The functions ``bounded_correlation`` of the versions
return the sum beside the coefficient, 0 where that is exact. Label vectors on GPUs have bins for
either distance that are never split, and no estimate.

For class codes two versions do without the estimate. Where few pairs are within classes, the
compiled one (csrc/parc_correlation/pair_lookup.h) lists those and looks all others up among them;
the Numba version looks up the more frequent kind among the rarer one, always. The rank sum is exact
then, only the variance is in doubt, and the bound is a proof.

The n x n matrix is never stored: memory beyond X is O(n d) for standardised rows where d is small,
blocks of them where it is large, and at most a gigabyte of pairs or counters.

The compiled version gives the same bits, those of its instruction set, on every run and for any
number of threads: pairs are multiplied in one order, and counted in integers.
"""

#: Distances that round to the same multiple of this are tied; their rounding error is some 1e-15.
RESOLUTION = 2.0**-36
#: Error of the coefficient, as estimated or proven, above which pairs are counted again, in finer
#: bins, or sorted. Typical errors are some ten times smaller than the estimate.
TOLERANCE = 1e-9
#: Standard deviations of the estimate; see above.
SIGMAS = 7.0
