"""Scores of a recommender that tells what they cost."""

from __future__ import annotations

from collections.abc import Mapping


class Ranked(dict[str, float]):
    """Scores by model, with what it took to get them.

    A recommender may return one instead of a plain mapping, where the yardstick cannot see the cost
    itself: it counts the models whose features were asked for, and takes the time.

    Parameters
    ----------
    scores : mapping of str to float
    models_run : int, optional
        Models of the zoo that were run on the new task.
    seconds : float, optional
        Instead of the time that the call took.
    """

    def __init__(
        self,
        scores: Mapping[str, float],
        *,
        models_run: int | None = None,
        seconds: float | None = None,
    ) -> None:
        super().__init__(scores)
        self.models_run = models_run
        self.seconds = seconds
