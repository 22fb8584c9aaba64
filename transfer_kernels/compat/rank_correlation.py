"""SFDA's ``rank_correlation``: how well scores rank models, of one data set.

``score`` maps models to scores, ``finetune_acc[dset]`` models to accuracies. What differs: constant
scores correlate by 0, constant accuracies by NaN, each without a warning; scores and accuracies
must be finite; ``recall_k`` works, which raises TypeError on Python 3 as published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..evaluation import kendall, pearson, weighted_kendall
from .calls import number

Scores = Mapping[Any, float]


def _paired(
    score: Scores, finetune_acc: Mapping[Any, Scores], dset: Any
) -> tuple[list[float], list[float]]:
    accuracies = finetune_acc[dset]
    return [float(s) for s in score.values()], [float(accuracies[model]) for model in score]


def _best_first(values: Scores) -> list[Any]:
    return sorted(values, key=lambda model: values[model], reverse=True)


def w_kendall_metric(score: Scores, finetune_acc: Any, dset: Any) -> np.float64:
    """Kendall's tau with hyperbolic weights."""
    return number(weighted_kendall(*_paired(score, finetune_acc, dset)))


def kendall_metric(score: Scores, finetune_acc: Any, dset: Any) -> np.float64:
    """Kendall's tau-b."""
    return number(kendall(*_paired(score, finetune_acc, dset)))


def pearson_coef(score: Scores, finetune_acc: Any, dset: Any) -> np.float64:
    """Pearson's correlation."""
    return number(pearson(*_paired(score, finetune_acc, dset)))


def wpearson_coef(score: Scores, finetune_acc: Any, dset: Any) -> float:
    """Pearson's correlation, the first model weighing most, the last least; to four decimals."""
    x, y = np.array(_paired(score, finetune_acc, dset))
    weights = np.arange(len(x), 0.0, -1.0)
    x, y = (v - np.average(v, weights=weights) for v in (x, y))
    scale = np.sqrt((weights * x * x).sum() * (weights * y * y).sum())
    return round(float((weights * x * y).sum() / scale), 4) if scale > 0.0 else float("nan")


def rel_k(score: Scores, finetune_acc: Any, dset: Any, k: int) -> np.float64:
    """Best accuracy among the k models of highest score over the best of all."""
    accuracies = finetune_acc[dset]
    return number(max(accuracies[m] for m in _best_first(score)[:k]) / max(accuracies.values()))


def recall_k(score: Scores, finetune_acc: Any, dset: Any, k: int) -> int:
    """1 if the model of highest score is among the k of best accuracy, else 0."""
    return int(_best_first(score)[0] in _best_first(finetune_acc[dset])[:k])
