"""Contract of `target_moments`: cross moments of the features with real targets.

    target_moments(X, Y) -> moments

``X`` is (n, d), float16, float32 or float64, any strides; ``Y`` (n, K) float64; ``moments`` = X^T Y
is (d, K) float64. X is read once, in blocks; no copy of it is made.
Bits are those of BLAS, and may change with its number of threads.
"""
