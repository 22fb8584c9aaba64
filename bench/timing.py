"""Timing of calls: medians with p20 and p80, contenders alternating in one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and its result."""
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def summary(seconds: list[float]) -> dict:
    """Median, p20, p80 in seconds, and the number of runs."""
    p20, median, p80 = np.percentile(seconds, [20, 50, 80])
    return {"median": median, "p20": p20, "p80": p80, "runs": len(seconds)}


def measure(call: Callable[[], Any], runs: int, warm_up: bool = True) -> tuple[dict, Any]:
    """Summary of ``runs`` calls, after one that does not count unless told, and the last result."""
    if warm_up:
        call()
    seconds, value = [], None
    for _ in range(runs):
        del value
        elapsed, value = timed(call)
        seconds.append(elapsed)
    return summary(seconds), value


def alternate(
    ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int, ours_per_round: int
) -> tuple[tuple[dict, Any], tuple[dict, Any]]:
    """(summary, result) of two contenders, taken in turns so that both see the same machine.

    Ours, the faster, is called once for warming up and ``ours_per_round`` times for each call of
    theirs, which is not warmed up: it compiles nothing.
    """
    ours()
    our_seconds, their_seconds = [], []
    our_value = their_value = None
    for _ in range(rounds):
        for _ in range(ours_per_round):
            elapsed, our_value = timed(ours)
            our_seconds.append(elapsed)
        elapsed, their_value = timed(theirs)
        their_seconds.append(elapsed)
    return (summary(our_seconds), our_value), (summary(their_seconds), their_value)
