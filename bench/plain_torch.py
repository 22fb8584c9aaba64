"""The hot operations in plain PyTorch, as one would write them first: the kernels' rivals."""

from __future__ import annotations

import math

import torch


def fisher_scatter(X, codes, n_classes, weights=None):
    """Weight and weighted sum of each class, and the Gram matrix, through float64 copies of X."""
    X = X.double()
    weighted = X if weights is None else weights[:, None] * X
    counts = torch.zeros(n_classes, dtype=torch.float64, device=X.device)
    ones = torch.ones_like(X[:, 0]) if weights is None else weights
    counts.index_add_(0, codes, ones)
    sums = torch.zeros(n_classes, X.shape[1], dtype=torch.float64, device=X.device)
    sums.index_add_(0, codes, weighted)
    return counts, sums, torch.triu(X.T @ weighted)


def self_challenging(X, codes, coef, intercept):
    """Posterior of each sample's own class and its second softmax, through (n, C) matrices."""
    posterior = torch.softmax(X.double() @ coef.T + intercept, dim=1)
    challenge = torch.softmax(posterior, dim=1)
    own = codes[:, None]
    return posterior.gather(1, own)[:, 0], challenge.gather(1, own)[:, 0]


def logme_evidence(gram, moments, squares, n, d):
    """Evidence of every target from an eigendecomposition, one target after another."""
    eigenvalues, vectors = torch.linalg.eigh(gram, UPLO="U")
    s = eigenvalues.clamp_min(0.0)
    found = []
    for p, square in zip(((vectors.T @ moments) ** 2).T, squares, strict=True):
        alpha = beta = torch.ones((), dtype=torch.float64, device=gram.device)
        for _ in range(11):
            t = alpha / beta
            gamma = (s / (s + t)).sum()
            norm = (p / (s + t) ** 2).sum()
            residual = square - (p / (s + t)).sum() - t * norm
            alpha, beta = gamma / (norm + 1e-5), (n - gamma) / (residual + 1e-5)
            if abs(alpha / beta - t) <= 1e-3 * t:
                break
        log_determinant = torch.log(alpha + beta * s).sum()
        found.append(
            d * alpha.log() + n * beta.log() - log_determinant
            - beta * residual - alpha * norm - n * math.log(2.0 * math.pi)
        )  # fmt: skip
    return torch.stack(found) / (2 * n)
