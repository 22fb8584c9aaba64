"""`class_scatter` by cuBLAS and cuSOLVER through PyTorch, class after class."""

import torch

from ..positive_definite import shared_from_rows
from ..positive_definite.torch_gpu import log_determinant
from ..torch_runtime import as_codes, as_doubles, as_features


def class_logdets(X, codes, n_classes, shift, scales):
    """See the contract in the package's docstring."""
    X = as_features(X)
    codes, shift, scales = as_codes(codes, X), as_doubles(shift, X), as_doubles(scales, X)
    order = torch.argsort(codes, stable=True)
    ends = torch.bincount(codes, minlength=n_classes).cumsum(0).tolist()
    logdets = torch.zeros(n_classes, dtype=torch.float64, device=X.device)
    for c, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if start == end:
            continue
        rows = X[order[start:end]].double() - shift
        gram = rows @ rows.T if len(rows) <= X.shape[1] else rows.T @ rows
        logdets[c] = log_determinant(gram, scales[c])
        if torch.isnan(logdets[c]):
            logdets[c] = shared_from_rows.log_determinant(rows, float(scales[c]))
    return logdets
