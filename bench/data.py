"""Seeded features like those of pre-trained networks: class structure, decaying spectrum."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

#: Rows made at a time. Part of the recipe: the values depend on it.
BLOCK_ROWS = 4096
#: Directions shared by all classes that carry most of the variance.
N_FACTORS = 96


@dataclass(frozen=True)
class Problem:
    """Size and kind of a data set.

    Parameters
    ----------
    n, d, n_classes : int
        Samples, features, classes.
    dtype : str
        "float16", "float32" or "float64".
    kind : {"relu", "dense"}
        Rectified features as of a convolutional network's pooling, about half of them zero, or
        features of both signs as of a transformer.
    seed : int
    """

    n: int
    d: int
    n_classes: int = 100
    dtype: str = "float32"
    kind: str = "relu"
    seed: int = 0

    def facts(self) -> dict:
        """The fields, for a report."""
        return asdict(self)


def labels(problem: Problem) -> np.ndarray:
    """(n,) int64 labels, unbalanced by a factor of about three, every class at least once."""
    rng = np.random.default_rng([problem.seed, 1])
    shares = rng.uniform(0.5, 1.5, problem.n_classes)
    y = rng.choice(problem.n_classes, problem.n, p=shares / shares.sum())
    y[: problem.n_classes] = np.arange(problem.n_classes)[: problem.n]
    return rng.permutation(y)


def features(problem: Problem) -> np.ndarray:
    """(n, d) features in C order, made block by block: no second copy of them is ever held."""
    X = np.empty((problem.n, problem.d), dtype=problem.dtype)
    fill_features(X, problem)
    return X


def fill_features(X: np.ndarray, problem: Problem) -> None:
    """Write the features into `X`, which may be a memory map."""
    y = labels(problem)
    rng = np.random.default_rng([problem.seed, 2])
    n_factors = min(N_FACTORS, problem.d)
    decay = np.arange(1, n_factors + 1) ** -0.6
    basis = rng.standard_normal((n_factors, problem.d), dtype=np.float32)
    # The largest eigenvalue of their covariance is the same for every d.
    scale = np.sqrt(6.0 / problem.d)
    basis *= (scale * decay / np.linalg.norm(decay))[:, None].astype(np.float32)
    centres = 0.6 * rng.standard_normal((problem.n_classes, n_factors), dtype=np.float32)
    own_noise = rng.uniform(0.05, 0.2, problem.d).astype(np.float32)
    offset = rng.uniform(-0.2, 0.2, problem.d).astype(np.float32)
    for start in range(0, problem.n, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, problem.n))
        block_rng = np.random.default_rng([problem.seed, 3, start])
        codes = y[rows]
        factors = block_rng.standard_normal((len(codes), n_factors), dtype=np.float32)
        factors += centres[codes]
        block = block_rng.standard_normal((len(codes), problem.d), dtype=np.float32)
        block *= own_noise
        block += factors @ basis
        block += offset
        if problem.kind == "relu":
            np.maximum(block, 0.0, out=block)
        X[rows] = block


def make(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of a problem."""
    return features(problem), labels(problem)


def posteriors(X: np.ndarray, n_sources: int = 1000) -> np.ndarray:
    """(n, n_sources) float32 softmax of a made-up source head on the features."""
    head = np.random.default_rng(0).normal(size=(X.shape[1], n_sources)) / np.sqrt(X.shape[1])
    logits = 4.0 * np.asarray(X, dtype=np.float64) @ head
    theta = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (theta / theta.sum(axis=1, keepdims=True)).astype(np.float32)
