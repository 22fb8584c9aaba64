"""Small arrays for the examples of calls that each op's tests hold: EXAMPLES and REFUSED."""

import numpy as np

N, D, C = 90, 13, 4

_rng = np.random.default_rng(7)
CODES = np.concatenate([np.arange(C), _rng.integers(0, C, N - C)])
X = _rng.normal(size=(N, D)) * np.linspace(1.0, 0.2, D) + 0.5 * _rng.normal(size=(C, D))[CODES]
X = X.astype(np.float32)
Y = X[:, :3] + _rng.normal(size=(N, 3))
#: The features in float64, and their second moments.
F = X.astype(np.float64)
WITHIN = F.T @ F / N
MEANS, ANCHORS = _rng.normal(size=(2, C, D))
SHARES = _rng.random(N)
ORIGIN = np.zeros(D)
#: No numbers.
TEXT = np.full((C, D), "a")
