"""`logme_evidence` by PyTorch's eigenvectors: every target at once, round by round, no look at it.

A target that has converged is computed along and keeps what it had. Targets that start warm go one
after the other, each round a few sums over one spectrum: too little for a GPU, so on the host.
"""

import math
from dataclasses import fields
from typing import Any

import torch

from ..array_namespace import Array, on_host
from ..torch_runtime import as_doubles, as_tensor
from . import SMALLEST_PRECISION, Evidence, EvidenceRule, Known, LargestEvidence
from .reference import from_spectrum
from .shared_profile import from_gram


def logme_evidence(
    gram: Array,
    moments: Array,
    squares: Array,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence,
    dual: bool = False,
    known: Known | None = None,
) -> Evidence:
    """See the contract in the package's docstring."""
    gram = as_tensor(gram, dtype=torch.float64)
    moments, squares = as_doubles(moments, gram), as_doubles(squares, gram)
    if moments.shape[1] == 0:
        return Evidence(*torch.empty(4, 0, dtype=torch.float64, device=gram.device))
    if isinstance(rule, LargestEvidence):
        return from_gram(gram, moments, squares, n_samples, dual, known)
    s, vectors = torch.linalg.eigh(gram, UPLO="U")
    s = s.clamp_(min=0.0)
    projections = (vectors.T @ moments).square_()
    if not dual:
        # Rounding leaves moments along null directions: what is possible bounds them.
        projections = torch.minimum(projections, s[:, None] * squares)
    if rule.warm_start:
        s, projections, targets = on_host(s), on_host(projections), on_host(squares)
        found = from_spectrum(s, projections, targets, n_samples, n_features, rule, dual)
        return Evidence(*(as_doubles(getattr(found, f.name), gram) for f in fields(found)))
    return _fixed_points(s[:, None], projections, squares, n_samples, n_features, rule, dual)


def _fixed_points(
    s: Any, p: Any, squares: Any, n: int, d: int, rule: EvidenceRule, dual: bool
) -> Any:
    """Evidence of targets with squared projections p (r, K), from eigenvalues s (r, 1)."""
    r = len(s)
    alpha, beta = torch.ones_like(squares), torch.ones_like(squares)
    ratio, norm, residual = (torch.zeros_like(squares) for _ in range(3))
    running = torch.ones_like(squares, dtype=torch.bool)
    for _ in range(rule.max_rounds):
        t = alpha / beta
        inverse = 1.0 / (s + t)
        shares = t * inverse
        if dual:  # p are projections of y itself
            new_norm = (s * p * inverse**2).sum(dim=0)
            new_residual = (p * shares**2).sum(dim=0)
        else:  # p are projections of F^T y
            new_norm = (p * inverse**2).sum(dim=0)
            new_residual = squares - (p * inverse).sum(dim=0) - t * new_norm
            new_residual = new_residual.clamp_min_(0.0)
        gamma = (s * inverse).sum(dim=0)
        noise = n - r + shares.sum(dim=0)  # n - gamma without its cancellation
        new = (
            _precision(gamma, new_norm + rule.epsilon),
            _precision(noise, new_residual + rule.epsilon),
            t, new_norm, new_residual,
        )  # fmt: skip
        old = alpha, beta, ratio, norm, residual
        alpha, beta, ratio, norm, residual = (
            torch.where(running, *pair) for pair in zip(new, old, strict=True)
        )
        running = running & ((alpha / beta - t).abs() > rule.tolerance * t)
    added = rule.epsilon if rule.epsilon_in_evidence else 0.0
    zeros = d - r if rule.full_spectrum else 0
    log_determinant = (alpha + beta * s).log_().sum(dim=0) + zeros * alpha.log()
    evidence = d * alpha.log() + n * beta.log() - log_determinant
    evidence = evidence - beta * (residual + added) - alpha * (norm + added)
    evidence = 0.5 * (evidence - n * math.log(2.0 * math.pi)) / n
    return Evidence(evidence, alpha, beta, ratio)


def _precision(degrees: Any, energy: Any) -> Any:
    """Degrees of freedom over energy, kept in the range of precisions."""
    quotient = degrees / energy.clamp_min(SMALLEST_PRECISION**2)
    return quotient.clamp_(SMALLEST_PRECISION, 1.0 / SMALLEST_PRECISION)
