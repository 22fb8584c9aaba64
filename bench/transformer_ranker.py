"""transformer-ranker's estimators beside their drop-ins: python -m bench.transformer_ranker.

Both get the same float32 tensors, in turn, and the best of three runs of each counts; the scores
must agree. Needs ``pip install transformer-ranker``.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from transfer_kernels.compat import transformer_ranker as ours

from . import machine

SIZES = ((1000, 768, 4), (10_000, 768, 20), (1000, 1024, 4))
ROUNDS = 3


def embeddings(n: int, d: int, n_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features that tell the classes apart somewhat, and these."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % n_classes
    means = rng.normal(size=(n_classes, d)) * 0.2
    features = rng.normal(size=(n, d)) + means[labels]
    return torch.tensor(features, dtype=torch.float32), torch.tensor(labels)


def main() -> None:
    """Print one row for each estimator and size."""
    from transformer_ranker import estimators as published

    print(machine.cpu_model(), f"{torch.get_num_threads()} threads")
    print("| estimator | n × d, C | published | ours | ratio |\n| --- | --- | --- | --- | --- |")
    for size in SIZES:
        X, y = embeddings(*size)
        for name in ("LogME", "HScore", "NearestNeighbors"):
            best, scores = {}, {}
            for _ in range(ROUNDS):
                for module in (published, ours):
                    estimator = getattr(module, name)()
                    start = time.perf_counter()
                    scores[module] = estimator.fit(embeddings=X, labels=y)
                    seconds = time.perf_counter() - start
                    best[module] = min(best.get(module, np.inf), seconds)
            theirs, mine = scores[published], scores[ours]
            assert abs(theirs - mine) <= 1e-5 * abs(theirs), (name, size, theirs, mine)
            n, d, n_classes = size
            print(
                f"| {name} | {n} × {d}, {n_classes} | {best[published]:.3f} s | {best[ours]:.3f} s "
                f"| {best[published] / best[ours]:.1f}× |"
            )


if __name__ == "__main__":
    main()
