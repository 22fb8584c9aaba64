"""Parts of a metric scaled to 0 ... 1 over a zoo, for metrics that compare models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .uninformative import warn_uninformative


def weighted_min_max(
    parts: Mapping[str, np.ndarray], weights: Mapping[str, float], name: str
) -> np.ndarray:
    """Sum of the parts, each scaled to 0 ... 1 over the models, by their weights.

    Parameters
    ----------
    parts : mapping of str to (M,) array
        Numbers of the models, finite.
    weights : mapping of str to float
        By the same names; negative where lower is better.
    name : str
        Of the metric, for the warning.

    Returns
    -------
    (M,) float64 array
        A part that is equal for all models counts as 0.

    Warns
    -----
    UninformativeScoreWarning
        If more than one model is compared and a part is equal for all.
    """
    total = np.zeros(len(next(iter(parts.values()))))
    for part, weight in weights.items():
        values = np.asarray(parts[part], dtype=np.float64)
        lowest, highest = values.min(initial=np.inf), values.max(initial=-np.inf)
        if highest > lowest:
            # Halves, so that the span of the largest numbers is finite.
            total += weight * (0.5 * values - 0.5 * lowest) / (0.5 * highest - 0.5 * lowest)
        elif len(values) > 1:
            warn_uninformative(
                f"{name}: its part {part!r} is equal for all {len(values)} models and counts as 0; "
                "compare other models or look at the other parts"
            )
    return total
