"""`row_space` by cuSOLVER through PyTorch."""

import torch

from ..array_namespace import Array
from ..torch_runtime import as_features


def row_space(X: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """See the contract in the package's docstring."""
    X = as_features(X).double()
    origin = X.mean(dim=0)
    basis, upper = torch.linalg.qr((X - origin).T)
    return upper.T.contiguous(), basis.T, origin
