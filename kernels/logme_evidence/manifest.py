"""What `logme_evidence` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..array_namespace import Array
from ..declarations import Count, Doubles, Given, declare
from . import Evidence, EvidenceRule, Known, LargestEvidence


def _order(given: Mapping[str, Any]) -> dict[str, int]:
    """Order of the Gram matrix, unless some of its directions are known."""
    if given["known"] is not None:
        return {}
    return {"m": given["n_samples"] if given["dual"] else given["n_features"]}


def _check_rule(given: Mapping[str, Any], checked: dict[str, Any]) -> None:
    rule = given["rule"]
    if rule is not None and not isinstance(rule, (EvidenceRule, LargestEvidence)):
        raise TypeError(
            f"rule must be an EvidenceRule, LargestEvidence or None, not {type(rule).__name__}"
        )
    checked["rule"] = rule or EvidenceRule()


@declare(
    Doubles("K"),
    Doubles("K"),
    Doubles("K"),
    Doubles("K"),
    gram=Doubles("m", "m"),
    moments=Doubles("m", "K"),
    squares=Doubles("K"),
    n_samples=Count(),
    n_features=Count(),
    rule=Given(),
    dual=Given(),
    known=Given(),
    sizes=_order,
    check=_check_rule,
)
def logme_evidence(
    gram: Array,
    moments: Array,
    squares: Array,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence | None = None,
    dual: bool = False,
    known: Known | None = None,
    *,
    backend: str | None = None,
) -> Evidence:
    """Log evidence of Bayesian linear regression for many targets at once (You et al., ICML 2021).

    For features F (n, d) and each target y: y ~ N(F w, I / beta), w ~ N(0, I / alpha).

    Parameters
    ----------
    gram : (d, d) float64 array
        F^T F, upper triangle; with ``dual`` F F^T (n, n). Not changed.
    moments : (d, K) float64 array
        F^T Y; with ``dual`` Y (n, K) itself.
    squares : (K,) float64 array
        y . y of each target.
    n_samples, n_features : int
        n and d.
    rule : EvidenceRule or LargestEvidence, optional
        The fixed point of alpha and beta, with its settings, or the maximum over both. By default
        ``EvidenceRule()``.
    dual : bool, default False
        For n <= d.
    known : Known, optional
        Directions that the Gram matrix of the dual form has not.
    backend : str, optional
        Force a backend.

    Returns
    -------
    Evidence
        Log evidence per sample in nats, alpha, beta and their ratio, (K,) each. With
        `LargestEvidence` a value is NaN where the search ends at the rounding error of the Gram
        matrix; `transfer_kernels.logme` then factors the features themselves.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, n_samples or n_features is no integer, or the rule is
        none.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
