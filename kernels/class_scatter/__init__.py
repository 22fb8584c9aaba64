"""Contract of `class_scatter`: what depends on the second moments of each class by itself.

    class_logdets(X, codes, n_classes, shift, scales) -> logdets
    class_covariances(X, codes, n_classes, unbiased=False) -> covariances
    class_variances(X, codes, n_classes) -> variances

``X`` is (n, d), float16, float32 or float64, any strides; ``codes`` (n,) integers in
[0, n_classes). A class without samples gets zeros.

`class_logdets`
    For ``shift`` (d,) float64, the same for all classes, and ``scales`` (C,) float64, not negative:
    with Z_c the rows of class c less the shift,

        logdets[c] = ln det(I + scales[c] Z_c^T Z_c)

    in nats, (C,) float64. The matrix is taken in the smaller of its two forms, Z_c^T Z_c and
    Z_c Z_c^T, whose determinants are equal. Memory beyond X: one class.
`class_covariances`
    With Z_c less the mean of the class, covariances[c] = Z_c^T Z_c / n_c, (C, d, d) float64, both
    triangles; divided by n_c - 1 with ``unbiased``, where a single sample gives zeros. For few
    features, such as scores along principal axes.
`class_variances`
    The diagonals of the biased ones, (C, d) float64. Around the class's own mean, which is taken
    first, so that an offset costs no digits. Memory beyond X: blocks of rows.

Bits are those of LAPACK, and may change with its number of threads.
"""
