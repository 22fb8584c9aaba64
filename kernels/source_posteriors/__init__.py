"""Contract of `source_posteriors`: what the target's labels make of source posteriors.

    class_sums(theta, codes, n_classes) -> (sums, totals, lowest)
    own_class(theta, codes, table) -> values
    tilted_sums(theta, codes, table, floor) -> (sums, log_norm)

``theta`` (n, Z) is dense, float16, float32 or float64, any strides, or a SciPy matrix in CSR form,
float32 or float64, each of its rows without double entries; ``codes`` (n,) integers in [0, C);
``table`` (C, Z) float64, not negative; ``floor`` >= 0. All sums and results are float64.

`class_sums`
    sums[c] = sum of theta[i] over the samples of class c, (C, Z); and what shows whether the rows
    are probabilities, (n,) each: totals[i] = sum of theta[i], and lowest[i] = its least entry.
    Where a row holds NaN its total is NaN, and its least entry undefined.
`own_class`
    values[i] = theta[i] . table[codes[i]], (n,).
`tilted_sums`
    One round of PACTran: with q[i] = (theta[i] + floor) table[codes[i]], entry by entry, and |q|
    the sum of its entries, which must be positive,
    sums[c] = sum of q[i] / |q[i]| over the samples of class c, (C, Z), and
    log_norm = sum over i of ln |q[i]|, a float.

Each reads theta once, and makes no (n, C) or (n, Z) array; CSR rows cost what they store. The same
bits on every run and for any number of threads, but for BLAS on GPUs.
"""

#: Samples of one class whose sums a thread makes; added class by class, in order.
PIECE_ROWS = 256


def is_sparse(theta) -> bool:
    """Whether it is in CSR form, by what the kernels read of it."""
    return hasattr(theta, "indptr")
