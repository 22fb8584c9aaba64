"""The families in which tables and pictures group the metrics: one place for names and order."""

from __future__ import annotations

from collections.abc import Set

#: Family to its title, in the order in which tables and pictures show them.
FAMILIES = {
    "features": "on features",
    "pairs": "on pairs of samples",
    "probes": "probes",
    "posteriors": "on posteriors",
    "inputs": "with further inputs",
    "zoo": "compared over the zoo",
}


def family_by_needs(needs: Set[str], compares_models: bool) -> str:
    """The family of a metric that names none, by what it reads and whether it compares models."""
    if compares_models:
        return "zoo"
    if "posteriors" in needs:
        return "posteriors"
    return "features" if needs <= {"features"} else "inputs"
