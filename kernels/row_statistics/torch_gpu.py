"""`row_statistics` by PyTorch's reductions, block of rows by block of rows."""

import torch

from ..array_namespace import Array
from ..torch_runtime import as_doubles, as_features

BLOCK_ELEMENTS = 1 << 24


def row_statistics(X: Array, shift: Array) -> tuple[Array, Array]:
    """See the contract in the package's docstring."""
    X = as_features(X)
    shift = as_doubles(shift, X)
    squares = torch.empty(len(X), dtype=torch.float64, device=X.device)
    logsums = torch.empty_like(squares)
    block_rows = max(1, BLOCK_ELEMENTS // X.shape[1])
    for start in range(0, len(X), block_rows):
        rows = slice(start, start + block_rows)
        block = X[rows].double()
        logsums[rows] = torch.logsumexp(block, dim=1)
        squares[rows] = (block - shift).square_().sum(dim=1)
    return squares, logsums
