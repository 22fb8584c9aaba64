"""What the metrics of source posteriors refuse, and what they take as it is."""

import numpy as np
import pytest
from scipy import sparse

import transfer_kernels as tk

METRICS = [tk.leep, tk.nce, tk.pactran]


@pytest.fixture(params=METRICS, ids=lambda metric: metric.__name__)
def metric(request):
    return request.param


def problem(n=60, width=6, n_classes=4, seed=1):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(width), size=n), np.arange(n) % n_classes


def test_rows_that_are_no_probabilities_are_named(metric, backend):
    theta, y = problem()
    for row, column, value, text in [
        (7, 2, -0.25, "-0.25 at row 7, column 2"),
        (0, 0, np.nan, "nan at row 0, column 0"),
        (59, 5, np.inf, "row 59 sums to inf"),
        (3, 1, theta[3, 1] + 0.002, "row 3 sums to 1.002 and not to 1"),
    ]:
        bad = theta.copy()
        bad[row, column] = value
        for given in (bad, sparse.csr_array(bad)):
            with pytest.raises(ValueError, match=f"posteriors are no probabilities: {text}"):
                metric(given, y, backend=backend)
    with pytest.raises(ValueError, match="pass the softmax of the source head's outputs"):
        metric(np.log(theta), y, backend=backend)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rounded_rows_are_probabilities(metric, backend, dtype):
    theta, y = problem(width=200)
    found = metric(theta.astype(dtype), y, backend=backend)
    assert found == pytest.approx(metric(theta, y, backend=backend), rel=0.02)


def test_shapes_and_labels(metric):
    theta, y = problem()
    with pytest.raises(ValueError, match="must have the same length: 60 samples, but labels has"):
        metric(theta, y[1:])
    with pytest.raises(ValueError, match="posteriors must be two-dimensional"):
        metric(theta[0], y[:6])
    with pytest.raises(ValueError, match="posteriors is empty"):
        metric(theta[:, :0], y)
    with pytest.raises(ValueError, match="posteriors must be two-dimensional and not empty"):
        metric(sparse.csr_array(theta[:, :0]), y)
    with pytest.raises(TypeError, match="posteriors has dtype <U"):
        metric(theta.astype(str), y)
    with pytest.raises(ValueError, match="at least two classes"):
        metric(theta, np.zeros(60))
    with pytest.raises(ValueError, match="labels contains nan first at index 4"):
        metric(theta, np.where(np.arange(60) == 4, np.nan, y))


def test_ignored_samples_are_left_out(metric):
    theta, y = problem()
    marked = np.where(np.arange(60) < 13, -1, y)
    for given in (theta, sparse.csr_array(theta)):
        assert metric(given, marked, ignore_label=-1) == metric(given[13:], y[13:])
    with pytest.raises(ValueError, match="all 60 are the ignore_label -1"):
        metric(theta, np.full(60, -1), ignore_label=-1)


def test_classes_and_samples_in_any_order(metric, backend):
    theta, y = problem(seed=4)
    expected = metric(theta, y, backend=backend)
    order = np.random.default_rng(0).permutation(60)
    columns = np.random.default_rng(1).permutation(6)
    assert metric(theta[order], y[order], backend=backend) == pytest.approx(expected, rel=1e-12)
    assert metric(theta[:, columns], (3 * y + 1) % 4, backend=backend) == pytest.approx(expected)


def test_a_class_of_one_sample(metric, backend):
    theta, y = problem()
    y = np.where(np.arange(60) == 30, 9, y)
    assert np.isfinite(metric(theta, y, backend=backend))


def test_arguments_are_left_alone(metric, backend):
    theta, y = problem()
    for given in (theta, sparse.csr_array(theta)):
        before = given.copy()
        metric(given, y, backend=backend)
        assert (
            not (given != before).any()
            if isinstance(given, np.ndarray)
            else (abs(given - before).max() == 0.0)
        )


def test_tensors(metric):
    torch = pytest.importorskip("torch")
    theta, y = problem()
    assert metric(torch.from_numpy(theta), torch.from_numpy(y)) == metric(theta, y)
