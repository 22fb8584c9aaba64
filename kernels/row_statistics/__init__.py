"""Contract of `row_statistics`: squared norms and log-sums of the rows, in one pass.

    row_statistics(X, shift) -> (squares, logsums)

``X`` is (n, d), float16, float32 or float64, any strides; ``shift`` (d,) float64. With x a row,

    squares[i] = sum over j of (x[j] - shift[j])^2
    logsums[i] = ln of the sum over j of exp(x[j])

both (n,) float64, summed in float64; the logarithm's sum is taken relative to the row's largest
entry, so that it overflows for no finite row. Memory beyond X: blocks of rows. The same bits on
every run and for any number of threads.
"""
