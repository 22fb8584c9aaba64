"""Contract of `self_challenging`: posterior of each sample's own class under a discriminant.

    self_challenging(X, codes, coef, intercept, mixing=None) -> (posterior, challenge)

``X`` is (n, d), float16, float32 or float64, any strides; ``codes`` (n,) integers in [0, C);
``coef`` (C, d) and ``intercept`` (C,) float64. With the discriminants z = coef x + intercept of a
sample,

    p = softmax(z),  posterior[i] = p of the sample's own class
    q = softmax(p),  challenge[i] = q of the sample's own class

both (n,) float64: the second softmax is the "self-challenge" of SFDA (Shao et al., ECCV 2022).

``mixing = (q, anchors)``, (n,) and (C, d) float64, evaluates the discriminant on the mixed samples
q[i] x[i] + (1 - q[i]) anchors[codes[i]] without making them.

Work 2 n d C flops; memory beyond X is O(C (d + C)) and blocks: an n x C matrix is never stored.
The compiled version gives the same bits, those of its instruction set, on every run and for any
number of threads.
"""
