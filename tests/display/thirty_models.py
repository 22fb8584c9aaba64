"""A ranking of thirty models by every metric, with scores made up."""

import math

import numpy as np

from transfer_kernels.metrics import METRICS
from transfer_kernels.zoo.adjustments import informed_consensus
from transfer_kernels.zoo.ranking import ModelScores, Ranking

MODELS = [
    f"{f}{i}-print" for f in ("resnet", "timm/vit_b", "cnn", "mlp", "mobilenet") for i in range(6)
]


def thirty_models(**changed):
    """One quality seen through noise; ``changed`` gives columns of one's own."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=30)
    table = {m: (quality + rng.normal(size=30)).tolist() for m in METRICS} | changed
    rows = [
        ModelScores(
            name,
            {metric: column[i] for metric, column in table.items()},
            dict.fromkeys(table, 0.5),
            "ValueError: bad" if any(math.isnan(c[i]) for c in table.values()) else None,
        )
        for i, name in enumerate(MODELS)
    ]
    return Ranking(rows, list(table), "consensus", agreement=informed_consensus)
