"""Contract of `softmax_regression`: loss, gradient and curvature of a linear softmax classifier.

    softmax_regression(X, codes, coef, intercept, shift) -> (loss, gradient, curvature)

``X`` is (n, d), float16, float32 or float64, any strides; ``codes`` (n,) integers in [0, C);
``coef`` (C, d), ``intercept`` (C,) and ``shift`` (d,) float64. With z = x - shift and
p = softmax(coef z + intercept) of a sample, y its class and e_y that class's indicator,

    loss            = sum over samples of -ln p[y]
    gradient        = (d + 1, C): sum of (z, 1) (p - e_y)^T, by coef^T, and by the intercept last
    curvature       = sum of (|z|^2 + 1) sum over c of p[c] (1 - p[c]): the trace of the Hessian
                      by coef and intercept

all in float64, nats. Work 4 n d C flops in one read of X; memory beyond X is O(C (d + C)) and
blocks: an n x C matrix is never stored. The compiled version gives the same bits, those of its
instruction set, on every run and for any number of threads.
"""
