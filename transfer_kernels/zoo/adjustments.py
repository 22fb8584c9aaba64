"""What is made of a whole column or table of scores: zoo-relative metrics combined."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..metrics import MetricCall
from .scoring import Outcome


def combined(call: MetricCall, outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Model to score of a metric that compares models, from what it gave of each.

    Models that failed or lack an input have NaN and do not enter.
    """
    nothing = dict.fromkeys(call.metric.parts, math.nan)
    return call.combined({outcome.model: outcome.parts or nothing for outcome in outcomes})
