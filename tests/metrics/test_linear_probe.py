"""loss and pactran_gauss: the optimum by SciPy, what does not change it, what they refuse."""

import numpy as np
import pytest
from conftest import make_problem
from scipy.optimize import minimize
from scipy.special import logsumexp

import transfer_kernels as tk
from transfer_kernels.metrics import softmax_fit

SHAPES = [(90, 6, 3), (60, 25, 4), (30, 50, 3)]


def by_scipy(X, y, scale, factor):
    """Loss and bound as published, their optimum sought to rounding."""
    X = np.asarray(X, np.float64)
    X = X - X.mean(axis=0)
    n, d = X.shape
    Y = np.eye(y.max() + 1)[y]
    bordered = np.hstack([X, np.ones((n, 1))])

    def objective(flat):
        parameters = flat.reshape(d + 1, -1)
        scores = bordered @ parameters
        logs = scores - logsumexp(scores, axis=1, keepdims=True)
        loss = -(Y * logs).sum() / n + (parameters[:-1] ** 2).sum() / (2 * n * scale)
        gradient = bordered.T @ (np.exp(logs) - Y) / n
        gradient[:-1] += parameters[:-1] / (n * scale)
        return loss, gradient.ravel()

    options = {"maxiter": 5000, "maxfun": 10000, "ftol": 0.0, "gtol": 1e-10, "maxcor": 20}
    found = minimize(
        objective, np.zeros((d + 1) * Y.shape[1]), jac=True, method="L-BFGS-B", options=options
    )
    scores = bordered @ found.x.reshape(d + 1, -1)
    p = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
    trace = ((bordered**2).T @ (p * (1.0 - p))).sum()
    m = d * Y.shape[1]
    part = factor * scale / d * m / (2 * n * scale) * np.log1p(trace * n * scale / m)
    return -found.fun, -(found.fun + part)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_is_the_optimum(backend, shape, scale):
    X, y = make_problem(*shape, spread=0.5)
    loss, bound = by_scipy(X, y, scale, 10.0)
    assert tk.loss(X, y, scale=scale, backend=backend) == pytest.approx(loss, rel=1e-9)
    found = tk.pactran_gauss(X, y, scale=scale, factor=10.0, backend=backend)
    assert found == pytest.approx(bound, rel=1e-6)


def test_the_fit_is_made_once_for_both(monkeypatch):
    X, y = make_problem(80, 6, 3)
    made = []
    monkeypatch.setattr(
        softmax_fit, "_minimise", lambda objective: made.append(1) or minimise(objective)
    )
    tk.score(X, y, ["loss", "pactran_gauss", "pactran_gauss(factor=10.0)", "loss(scale=10.0)"])
    assert len(made) == 2


minimise = softmax_fit._minimise


@pytest.mark.parametrize("metric", [tk.loss, tk.pactran_gauss])
def test_offset_and_order_do_not_matter(backend, metric):
    X, y = make_problem(120, 8, 4, spread=0.4, dtype=np.float64)
    expected = metric(X, y, backend=backend)
    for changed in (X + 1e3, X[:, ::-1]):
        assert metric(changed, y, backend=backend) == pytest.approx(expected, rel=1e-9)
    assert metric(X[::-1], (3 - y)[::-1], backend=backend) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("metric", [tk.loss, tk.pactran_gauss])
def test_columns_that_do_not_vary_change_no_fit(backend, metric):
    X, y = make_problem(90, 6, 3)
    constant = np.hstack([X, np.full((90, 6), 7.0, np.float32)])
    if metric is tk.loss:
        expected = metric(X, y, backend=backend)
    else:  # twice the coefficients
        expected = metric(X, y, factor=100.0, backend=backend)
        found = softmax_fit.fit(tk.Problem(constant, y, backend), 1.0)
        loss, _ = by_scipy(X, y, 1.0, 1.0)
        assert -found.loss == pytest.approx(loss, rel=1e-9)
        return
    assert metric(constant, y, backend=backend) == pytest.approx(expected, rel=1e-9)


def test_features_that_do_not_vary_leave_the_class_shares(backend):
    y = np.arange(30) % 3 // 2
    share = np.array([2 / 3, 1 / 3])
    entropy = -(share * np.log(share)).sum()
    assert tk.loss(np.ones((30, 4)), y, backend=backend) == pytest.approx(-entropy, rel=1e-12)


def test_features_of_very_different_sizes(backend):
    X, y = make_problem(150, 6, 3, spread=0.5, dtype=np.float64)
    X = X * 10.0 ** np.arange(-2, 4)
    loss, _ = by_scipy(X, y, 1.0, 100.0)
    assert tk.loss(X, y, backend=backend) == pytest.approx(loss, rel=1e-6)


def test_a_limit_of_steps_is_told(backend, monkeypatch):
    monkeypatch.setattr(softmax_fit, "LIMIT", 5)
    X, y = make_problem(90, 6, 3)
    with pytest.warns(tk.UninformativeScoreWarning, match="not at its optimum after 5 steps"):
        tk.loss(X, y, backend=backend)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
def test_scales_out_of_range(backend, scale):
    X, y = make_problem(40, 5, 3)
    for metric in (tk.loss, tk.pactran_gauss):
        with pytest.raises(ValueError, match="scale=.* is out of range: it must be positive"):
            metric(X, y, scale=scale, backend=backend)
    with pytest.raises(ValueError, match="factor=-1.0 is out of range"):
        tk.pactran_gauss(X, y, factor=-1.0, backend=backend)
