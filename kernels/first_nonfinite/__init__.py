"""Contract of `first_nonfinite`: where the first NaN or infinity of a matrix stands.

    first_nonfinite(X) -> (row, column) or None

``X`` is (n, d), float16, float32 or float64, any strides. The first in row-major order is told,
by every version alike. The matrix is read once; no temporary grows with it.
"""
