"""How good scores are: measures on one zoo, and the yardstick that leaves each task out in turn."""

from .measures import (
    Evaluation,
    evaluate,
    evaluation_table,
    kendall,
    mean_ranks,
    pearson,
    recall_at_k,
    regret_at_k,
    rel_at_k,
    spearman,
    weighted_kendall,
)

__all__ = [
    "Evaluation",
    "evaluate",
    "evaluation_table",
    "kendall",
    "mean_ranks",
    "pearson",
    "recall_at_k",
    "regret_at_k",
    "rel_at_k",
    "spearman",
    "weighted_kendall",
]
