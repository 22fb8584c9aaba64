"""Contract of `class_scatter`: what depends on the second moments of each class by itself.

    class_logdets(X, codes, n_classes, shift, scales) -> logdets

For ``X`` (n, d), float16, float32 or float64, any strides; ``codes`` (n,) integers in
[0, n_classes); ``shift`` (d,) float64, the same for all classes; ``scales`` (C,) float64, not
negative: with Z_c the rows of class c less the shift,

    logdets[c] = ln det(I + scales[c] Z_c^T Z_c)

in nats, (C,) float64, 0 for a class without samples. The matrix is taken in the smaller of its two
forms, Z_c^T Z_c and Z_c Z_c^T, whose determinants are equal. Memory beyond X: one class. Bits are
those of LAPACK, and may change with its number of threads.
"""
