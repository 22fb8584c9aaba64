"""Selection of complementary models."""

import numpy as np
import pytest

import transfer_kernels as tk


def complementary_zoo(n=600, seed=0):
    """Two views that tell different class pairs apart, a copy of the better one, and noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    noise = lambda d: 0.35 * rng.normal(size=(n, d))  # noqa: E731
    left = np.c_[labels // 2, np.zeros(n)] + 0.3 * rng.normal(size=(n, 2))
    right = np.c_[labels % 2, np.zeros(n)] + 0.33 * rng.normal(size=(n, 2))
    return {
        "left": np.c_[left, noise(6)],
        "copy of left": np.c_[left, noise(9)] + 1e-3,
        "right": np.c_[right, noise(3)],
        "noise": noise(12),
    }, labels


def test_complementary_models_win():
    zoo, labels = complementary_zoo()
    chosen = tk.sfda_ensemble(zoo, labels, 2)
    assert "right" in chosen.models and chosen.models[0] in ("left", "copy of left")
    singles = chosen.single_scores
    assert min(singles["left"], singles["copy of left"]) > singles["noise"]
    assert chosen.scores[1] > max(singles.values())


def test_an_exact_copy_is_not_chosen():
    zoo, labels = complementary_zoo()
    left = zoo["left"]
    copies = {"left": left, "again": left.copy(), "permuted": left[:, ::-1]}
    chosen = tk.sfda_ensemble({**copies, "right": zoo["right"]}, labels, 4)
    assert sum(name in copies for name in chosen.models) == 1
    assert "right" in chosen.models


def test_scores_rise_and_k_limits():
    zoo, labels = complementary_zoo()
    for k in (1, 2, 9):
        chosen = tk.sfda_ensemble(zoo, labels, k)
        assert len(chosen.models) == len(chosen.scores) <= min(k, 4)
        assert (np.diff(chosen.scores) > 0).all()


def test_refusals():
    zoo, labels = complementary_zoo(60)
    with pytest.raises(ValueError, match="k=0 is out of range: it must be at least 1"):
        tk.sfda_ensemble(zoo, labels, 0)
    with pytest.raises(TypeError, match="k must be an integer"):
        tk.sfda_ensemble(zoo, labels, 1.5)
    with pytest.raises(ValueError, match="zoo is empty"):
        tk.sfda_ensemble({}, labels, 1)
    with pytest.raises(ValueError, match="model 'left': features and labels must have the same"):
        tk.sfda_ensemble(zoo, labels[:-1], 1)
