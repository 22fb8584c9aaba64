"""BLAS on blocks of C-ordered float64 arrays, in place and without copies.

BLAS counts columns first: it sees a C-ordered matrix as its transpose, and the upper triangle of
one as the lower triangle. SciPy's wrappers release the GIL; BLAS itself spreads large blocks over
threads.
"""

from scipy.linalg import blas


def add_gram(block, gram):
    """Add block^T block to the upper triangle of ``gram``."""
    blas.dsyrk(1.0, block.T, beta=1.0, c=gram.T, lower=1, overwrite_c=1)


def row_products(left, right, out, scale=1.0):
    """Write scale * left right^T to ``out``."""
    blas.dgemm(scale, right.T, left.T, c=out.T, trans_a=1, overwrite_c=1)
