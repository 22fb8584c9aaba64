"""Contract of `row_space`: the centred features in an orthonormal basis of their own row space.

    row_space(X) -> (Z, basis, origin)

For ``X`` (n, d) with n < d, float16, float32 or float64: ``origin`` (d,) is the mean of the rows,
``basis`` (n, d) has orthonormal rows, and ``Z`` (n, n) = (X - origin) basis^T loses nothing:
X = Z basis + origin. All results are float64.
Bits are those of BLAS and LAPACK, and may change with their number of threads.
"""
