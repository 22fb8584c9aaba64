"""`self_challenging` by cuBLAS through PyTorch, block of rows by block of rows."""

import torch

from ..array_namespace import Array
from ..torch_runtime import as_codes, as_doubles, as_features

BLOCK_ELEMENTS = 1 << 24


def self_challenging(
    X: Array, codes: Array, coef: Array, intercept: Array, mixing: tuple[Array, Array] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """See the contract in the package's docstring."""
    X = as_features(X)
    codes = as_codes(codes, X)[:, None]
    coef, intercept = as_doubles(coef, X), as_doubles(intercept, X)
    if mixing is not None:
        share, anchors = (as_doubles(array, X) for array in mixing)
        anchor_scores = anchors @ coef.T
    posterior = torch.empty(len(X), dtype=torch.float64, device=X.device)
    challenge = torch.empty_like(posterior)
    block_rows = max(1, BLOCK_ELEMENTS // max(coef.shape))
    for start in range(0, len(X), block_rows):
        rows = slice(start, start + block_rows)
        z = X[rows].double() @ coef.T
        if mixing is not None:
            z = torch.lerp(anchor_scores[codes[rows, 0]], z, share[rows, None])
        p = torch.softmax(z + intercept, dim=1)
        posterior[rows] = p.gather(1, codes[rows])[:, 0]
        challenge[rows] = torch.softmax(p, dim=1).gather(1, codes[rows])[:, 0]
    return posterior, challenge
