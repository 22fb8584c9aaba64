"""ped: the published simulation written plainly, its edge cases, and what it refuses."""

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk
from transfer_kernels.metrics import ped


def problem(n=150, d=12, n_classes=5, spread=0.3, dtype=np.float32):
    X, y = make_problem(n, d, n_classes, spread=spread, dtype=dtype)
    general = np.random.default_rng(1).normal(0.2, 1.5, size=(40, d)).astype(dtype)
    return X, y, general


def as_published(X, y, general, nsigma):
    """The moved features and the number of steps, by a loop over pairs of classes."""
    X, general = np.asarray(X, np.float64), np.asarray(general, np.float64)
    mean, deviation = general.mean(axis=0), np.maximum(general.std(axis=0), 1e-3)
    first, steps = None, 0
    while steps < 6:
        Z = (X - mean) / deviation
        means = np.stack([Z[y == c].mean(axis=0) for c in range(y.max() + 1)])
        radii = [np.sqrt(Z[y == c].var(axis=0).sum()) for c in range(y.max() + 1)]
        moves = np.zeros_like(means)
        for i in range(len(means)):
            for j in range(len(means)):
                distance = np.linalg.norm(means[i] - means[j])
                overlap = max(nsigma * (radii[i] + radii[j]) - distance, 0.0)
                if i != j and overlap > 0.0:
                    share = min(0.5 * 0.1**2 * overlap, overlap)
                    moves[i] += share * (means[i] - means[j]) / distance
        change = np.abs(moves).sum()
        first = change if first is None else first
        if not (first > 0.0 and change > 0.5 * first):
            break
        X = (Z + moves[y]) * deviation + mean
        steps += 1
    return X, steps


def outputs(X, general):
    return tk.ModelOutputs(features=X, general=general)


@pytest.mark.filterwarnings("ignore::transfer_kernels.UninformativeScoreWarning")
@pytest.mark.parametrize("nsigma", [0.05, 0.6, 2.0])
@pytest.mark.parametrize("shape", [(150, 12, 5), (40, 60, 3)], ids=str)
def test_equals_the_published_simulation(backend, shape, nsigma):
    X, y, general = problem(*shape)
    moved, steps = as_published(X, y, general, nsigma)
    found = ped.motion(tk.Problem(outputs(X, general), y, backend), nsigma)
    assert found.n_steps == steps
    np.testing.assert_allclose(found.moves[y], moved - X, rtol=1e-8, atol=1e-10)
    for base, metric in (("sfda", tk.sfda), ("logme", tk.logme)):
        ours = tk.ped(X, y, general=general, base=base, nsigma=nsigma, backend=backend)
        assert ours == pytest.approx(metric(moved, y, backend=backend), rel=1e-7)


def test_classes_that_do_not_overlap_stay(backend):
    X, y, general = problem(spread=30.0)
    assert tk.ped(X, y, general=general, backend=backend) == tk.sfda(X, y, backend=backend)


def test_the_scale_is_that_of_general_features(backend):
    X, y, general = problem(dtype=np.float64)
    expected = tk.ped(X, y, general=general, base="logme", backend=backend)
    scaled = tk.ped(8.0 * X, y, general=8.0 * general, base="logme", backend=backend)
    assert scaled == pytest.approx(expected, rel=1e-6)
    constant = general.copy()
    constant[:, 0] = 1.0  # counts as of a deviation of 1e-3
    assert np.isfinite(tk.ped(X, y, general=constant, backend=backend))


def test_classes_at_one_place_and_of_one_sample(backend):
    X, y, general = problem(n_classes=3)
    X[y == 1] = X[y == 1][:1]
    X[y == 2] = X[y == 1][0]
    found = ped.motion(tk.Problem(outputs(X, general), y, backend), 0.6)
    assert np.isfinite(found.moves).all()
    alone = np.append(y[:-1], 7)
    assert np.isfinite(tk.ped(X, alone, general=general, backend=backend))


def test_it_is_in_the_registry():
    X, y, general = problem()
    found = tk.score(outputs(X, general), y, ["ped(nsigma=2.0)", "ped(base='logme')"])
    assert found["ped(nsigma=2.0)"] == tk.ped(X, y, general=general, nsigma=2.0)


def test_what_it_refuses(backend):
    X, y, general = problem()
    with pytest.raises(ValueError, match="general must have the 12 columns of features, being of"):
        tk.ped(X, y, general=general[:, 1:], backend=backend)
    with pytest.raises(ValueError, match="base='parc' is unknown; choose one of sfda, logme"):
        tk.ped(X, y, general=general, base="parc", backend=backend)
    for nsigma in (-1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="nsigma=.* is out of range"):
            tk.ped(X, y, general=general, nsigma=nsigma, backend=backend)
    general[3, 2] = np.nan
    with pytest.raises(ValueError, match="general .* contains nan first at row 3, column 2"):
        tk.ped(X, y, general=general, backend=backend)
    with pytest.warns(tk.MissingInputWarning, match="no score without general; pass ModelOutputs"):
        tk.score(X, y, ["ped"])
