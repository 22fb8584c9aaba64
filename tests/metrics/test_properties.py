"""Invariances of the metrics, and the limits of those that only nearly hold, by property tests."""

import warnings

import numpy as np
import pytest
from conftest import VARIANTS, make_problem, score_with_all_inputs
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import transfer_kernels as tk
from transfer_kernels.metrics import METRICS

FAST = VARIANTS[-1][0] if len(VARIANTS) == 1 else VARIANTS[0][0]

#: Metrics of features alone that a shift of the features does not move, and how nearly.
SHIFT_FREE = {
    "etran_lda": 1e-7,
    "fda_score": 1e-7,
    "gbc": 1e-7,
    "hscore": 1e-7,
    "hscore(shrinkage='ledoit-wolf')": 1e-7,
    "knn": 1e-2,
    "loss": 1e-6,
    "pactran_gauss": 1e-6,
    "ridge_probe": 1e-2,
    "parc": 1e-5,
    "sfda": 1e-7,
    "transrate": 1e-7,
}
ANY = (-np.finfo(float).max, np.finfo(float).max)
RANGES = {
    "emms": (-np.finfo(float).max, 0.0),
    "knn": (0.0, 1.0),
    "ped": (0.0, 1.0),
    "rsa": (-100.0, 100.0),
    "dds": (-100.0, 100.0),
    "loss": (-np.finfo(float).max, 0.0),
    "pactran_gauss": (-np.finfo(float).max, 0.0),
    "ridge_probe": (0.0, 1.0),
    "etran_energy": ANY,
    "etran_lda": (0.0, 1.0),
    "hscore": (0.0, 5.0 + 1e-9),
    "etran.energy": ANY,
    "etran.lda": (0.0, 1.0),
    "leep": (-np.finfo(float).max, 1e-9),
    "lfc": (-1.0, 1.0),
    "nce": (-np.finfo(float).max, 0.0),
    "nleep": (0.0, 1.0 + 1e-9),
    "otce": (-np.finfo(float).max, 1e-9),
    "pactran": ANY,
    "pactran_mixture": ANY,
    "transrate": ANY,
    "fda_score": (0.0, 1.0),
    "gbc": (-30.0 - 1e-9, 0.0),
    "logme": ANY,
    "ncti.ncc": (0.0, 1.0),
    "ncti.seli": (0.0, np.finfo(float).max),
    "ncti.vc": ANY,
    "parc": (-100.0, 100.0),
    "sfda": (0.0, 1.0),
}

problems = st.tuples(
    st.integers(12, 150),
    st.integers(1, 20),
    st.integers(2, 6),
    st.integers(0, 2**16),
    st.sampled_from([np.float32, np.float64]),
).map(lambda t: make_problem(t[0], t[1], t[2], t[3], dtype=t[4]))

# The same examples in every run: a failure is the change's.
relaxed = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        yield


#: Metrics that draw samples at random, by their order and by sums that rounding moves.
DRAWN = {"nleep", "pactran_mixture"}


def scores(X, y, backend=None, without=()):
    """Every metric that there is, by its parts if it has some, in the order of its name."""
    names = [name for name in defined_for(X) if name not in without]
    return np.array(list(score_with_all_inputs(X, y, names, backend).values()))


def defined_for(X):
    """The metrics that there are, but for those that need more samples.

    EMMS more than the features' rank, NLEEP five a class.
    """
    too_few = set()
    if len(X) <= X.shape[1] + 1:
        too_few.add("emms")
    if len(X) < 30:
        too_few.add("nleep")
    return [name for name in tk.metric_names() if name not in too_few]


@relaxed
@given(problems)
@example(make_problem(12, 20, 6, 1))
def test_backends_agree(problem):
    expected = scores(*problem, backend="reference", without=DRAWN)
    for name in {name for name, _ in VARIANTS}:
        found = scores(*problem, backend=name, without=DRAWN)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@relaxed
@given(problems, st.integers(0, 2**16))
def test_order_of_samples(problem, seed):
    X, y = problem
    order = np.random.default_rng(seed).permutation(len(X))
    found, expected = scores(X[order], y[order], without=DRAWN), scores(X, y, without=DRAWN)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


@relaxed
@given(problems, st.integers(0, 2**16))
def test_order_of_features(problem, seed):
    X, y = problem
    order = np.random.default_rng(seed).permutation(X.shape[1])
    found, expected = scores(X[:, order], y, without=DRAWN), scores(X, y, without=DRAWN)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


@relaxed
@given(problems, st.permutations(list("abcdef")))
def test_names_of_classes(problem, names):
    X, y = problem
    found = scores(X, np.array(names)[y], without=DRAWN)
    np.testing.assert_allclose(found, scores(X, y, without=DRAWN), rtol=1e-8, atol=1e-8)


@relaxed
@given(problems, st.floats(-50.0, 50.0))
def test_shift_moves_only_logme(problem, shift):
    X, y = problem[0].astype(np.float64), problem[1]
    moved, still = tk.score(X + shift, y, SHIFT_FREE), tk.score(X, y, SHIFT_FREE)
    for name, tolerance in SHIFT_FREE.items():
        expected = pytest.approx(still[name], rel=tolerance, abs=tolerance, nan_ok=True)
        assert moved[name] == expected, name


@relaxed
@given(problems, st.integers(0, 2**16))
def test_rotation(problem, seed):
    X, y = problem[0].astype(np.float64), problem[1]
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(X.shape[1],) * 2))
    assert tk.logme(X @ Q, y) == pytest.approx(tk.logme(X, y), rel=1e-7, abs=1e-9)


@relaxed
@given(problems, st.integers(0, 2**16))
def test_parc_takes_each_feature_in_its_own_unit(problem, seed):
    X, y = problem[0].astype(np.float64), problem[1]
    if X.shape[1] < 3:
        return
    rng = np.random.default_rng(seed)
    other = X * rng.uniform(0.1, 10.0, X.shape[1]) + rng.normal(size=X.shape[1])
    assert tk.parc(other, y) == pytest.approx(tk.parc(X, y), rel=1e-6, abs=1e-6, nan_ok=True)


@relaxed
@given(problems)
def test_ranges(problem):
    for name, value in score_with_all_inputs(*problem, defined_for(problem[0])).items():
        low, high = RANGES[name]
        assert low <= value <= high or (name in ("dds", "parc", "rsa") and np.isnan(value)), name


@relaxed
@given(problems)
def test_scatters_add(problem):
    X, y = problem
    cut = len(X) // 3
    parts = [tk.ops.fisher_scatter(Z, c, 6) for Z, c in ((X[:cut], y[:cut]), (X[cut:], y[cut:]))]
    whole, added = tk.ops.fisher_scatter(X, y, 6), parts[0] + parts[1]
    np.testing.assert_allclose(added.gram, whole.gram, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(added.sums, whole.sums, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(added.within(), whole.within(), rtol=1e-9, atol=1e-10)


@relaxed
@given(problems)
def test_integer_weights_repeat_samples(problem):
    X, y = problem
    times = 1 + np.arange(len(X)) % 3
    weighted = tk.ops.fisher_scatter(X, y, 6, weights=times.astype(float))
    repeated = tk.ops.fisher_scatter(np.repeat(X, times, axis=0), np.repeat(y, times), 6)
    np.testing.assert_allclose(weighted.gram, repeated.gram, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(weighted.counts, repeated.counts)


def test_better_separated_features_score_higher():
    metrics = METRICS.values()
    labelled = [m for m in metrics if m.tasks and m.needs == {"features"} and not m.parts]
    values = []
    for spread in (0.0, 0.3, 1.0):
        X, y = make_problem(400, 16, 5, seed=3, spread=spread)
        values.append(list(tk.score(X, y, labelled).values()))
    assert (np.diff(np.array(values), axis=0) > 0).all(), values
