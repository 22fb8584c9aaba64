"""Contract of `gaussian_pairs`: what the overlap of two normal distributions depends on, all pairs.

    gaussian_pairs(means, covariances) -> (distances, logdets)

For ``means`` (C, p) and ``covariances`` float64: (C, p, p), of which the upper triangles are read;
or (C, p), diagonals; or (C,), multiples of the identity. With S the mean of the covariances of i
and j,

    distances[i, j] = (means[i] - means[j])^T S^-1 (means[i] - means[j])
    logdets[i, j] = ln det S

both (C, C) float64 and symmetric; on the diagonal stand 0 and the logarithm of the class's own
determinant. The Bhattacharyya distance of two classes is

    distances[i, j] / 8 + (logdets[i, j] - (logdets[i, i] + logdets[j, j]) / 2) / 2.

Where S is singular, its logarithm is negative infinity and the distance NaN, on the diagonal too. A
matrix is, where a pivot of its Cholesky factor is not above p eps times its largest diagonal
element; variances are, where one is below the smallest normal number. The compiled version gives
the same bits, those of its instruction set, on every run and for any number of threads.
"""

import numpy as np

#: A row's worth of which, relative to the largest variance, counts as nothing.
PIVOT_EPS = float(np.finfo(np.float64).eps)
#: Variances below it are none.
SMALLEST_VARIANCE = float(np.finfo(np.float64).tiny)
