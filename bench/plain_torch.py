"""The hot operations in plain PyTorch, each as good as some fifteen lines are: the kernels' rivals.

One triangle only, blocks of rows instead of float64 copies of all features, every target at once,
and no look at the device within a loop. Sums by index_add_ may differ in their last bits from run
to run, which the package's own versions may not.
"""

from __future__ import annotations

import math

import torch

BLOCK_ROWS, COLUMN_BLOCKS = 8192, 8


def fisher_scatter(X, codes, n_classes, weights=None):
    """Weight and weighted sum of each class, and the Gram matrix's upper triangle."""
    n, d = X.shape
    weights = torch.ones(n, dtype=torch.float64, device=X.device) if weights is None else weights
    counts = torch.zeros(n_classes, dtype=torch.float64, device=X.device)
    counts.index_add_(0, codes, weights)
    sums = torch.zeros(n_classes, d, dtype=torch.float64, device=X.device)
    gram = torch.zeros(d, d, dtype=torch.float64, device=X.device)
    width = -(-d // COLUMN_BLOCKS)
    for start in range(0, n, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = X[rows].double()
        weighted = block * weights[rows, None]
        sums.index_add_(0, codes[rows], weighted)
        for first in range(0, d, width):
            last = min(first + width, d)
            gram[:last, first:last].addmm_(block[:, :last].T, weighted[:, first:last])
    return counts, sums, gram.triu()


def self_challenging(X, codes, coef, intercept):
    """Posterior of each sample's own class and its second softmax, block by block of rows."""
    posteriors, challenges = [], []
    for start in range(0, len(X), BLOCK_ROWS):
        own = codes[start : start + BLOCK_ROWS, None]
        z = torch.addmm(intercept, X[start : start + BLOCK_ROWS].double(), coef.T)
        posterior = torch.softmax(z, dim=1)
        p = posterior.gather(1, own)
        posteriors.append(p[:, 0])
        challenges.append((p.exp() / posterior.exp_().sum(dim=1, keepdim=True))[:, 0])
    return torch.cat(posteriors), torch.cat(challenges)


def logme_evidence(gram, moments, squares, n, d):
    """Evidence of every target from an eigendecomposition, all targets in each round."""
    eigenvalues, vectors = torch.linalg.eigh(gram, UPLO="U")
    s = eigenvalues.clamp_min(0.0)[:, None]
    p = (vectors.T @ moments) ** 2
    alpha = beta = torch.ones_like(squares)
    norm = residual = torch.zeros_like(squares)
    running = torch.ones_like(squares, dtype=torch.bool)
    for _ in range(11):
        t = alpha / beta
        inverse = 1.0 / (s + t)
        gamma = (s * inverse).sum(dim=0)
        norm = torch.where(running, (p * inverse**2).sum(dim=0), norm)
        residual = torch.where(running, squares - (p * inverse).sum(dim=0) - t * norm, residual)
        alpha = torch.where(running, gamma / (norm + 1e-5), alpha)
        beta = torch.where(running, (n - gamma) / (residual + 1e-5), beta)
        running = running & ((alpha / beta - t).abs() > 1e-3 * t)
    log_determinant = torch.log(alpha + beta * s).sum(dim=0)
    found = d * alpha.log() + n * beta.log() - log_determinant
    found = found - beta * residual - alpha * norm - n * math.log(2.0 * math.pi)
    return found / (2 * n)
