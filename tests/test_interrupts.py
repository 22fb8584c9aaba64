"""An interrupt is heard during a compiled kernel, ends that call alone, leaves nothing behind."""

import signal
import threading
import time

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk

native = pytest.importorskip("transfer_kernels._native")

if not hasattr(signal, "setitimer"):
    pytest.skip("this system has no interval timer", allow_module_level=True)

SOON = 0.3  # seconds until the signal
PATIENCE = 0.5  # seconds until it is heard


def wide(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


def codes(n, n_classes):
    return np.arange(n) % n_classes


def gram(size, n_targets):
    X = wide(size, size).astype(np.float64)
    return X @ X.T + np.eye(size), np.ones((size, n_targets)), np.full(n_targets, 1e6)


def native_evidence(size, n_targets):
    from transfer_kernels.kernels.logme_evidence import LargestEvidence
    from transfer_kernels.kernels.logme_evidence.native_cpu import logme_evidence

    matrices = gram(size, n_targets)
    return lambda: logme_evidence(*matrices, 10 * size, size, LargestEvidence())


def challenges(n, d, n_classes):
    X, y = wide(n, d), codes(n, n_classes)
    coef, intercept = np.ones((n_classes, d)), np.zeros(n_classes)
    posterior, challenge = np.empty(n), np.empty(n)
    return lambda: native.self_challenging(
        X, y, coef, intercept, None, None, posterior, challenge, isa="baseline", n_threads=2
    )


def label_vectors(n):
    from transfer_kernels.kernels.parc_correlation.native_cpu import parc_correlation_vectors

    X, Y = wide(n, 64).astype(np.float64), np.abs(wide(n, 5, 1))
    return lambda: parc_correlation_vectors(X, Y)


def scatter(n, d):
    X, y = wide(n, d), codes(n, 10)
    return lambda: tk.ops.fisher_scatter(X, y, 10, backend="native")


def ranks(n, d):
    X, y = wide(n, d), codes(n, 10)
    return lambda: tk.ops.parc_correlation(X, y, backend="native")


def repeated(X):
    many = np.broadcast_to(X, (2_000_000, X.shape[1]))
    return lambda: [tk.ops.first_nonfinite(many, backend="native") for _ in range(100)]


# Each runs for many seconds when it is left alone, on one thread or two.
LONG_CALLS = {
    "fisher_scatter": lambda: scatter(30_000, 3000),
    "fisher_scatter, narrow": lambda: scatter(3_000_000, 100),
    "first_nonfinite": lambda: repeated(wide(1, 4000)),
    "self_challenging": lambda: challenges(60_000, 2000, 300),
    "logme_evidence, reduction": lambda: native_evidence(4000, 10),
    "logme_evidence, targets": lambda: native_evidence(400, 20_000),
    "parc_correlation, binned": lambda: ranks(60_000, 600),
    "parc_correlation, sorted": lambda: ranks(5790, 20_000),
    "parc_correlation_vectors": lambda: label_vectors(30_000),
}


class Heard(Exception):
    pass


@pytest.fixture
def alarm():
    """Arrange that Heard is raised by a signal's handler after SOON; gives when it was sent."""
    sent = []

    def handler(*_):
        raise Heard

    def start():
        sent.append(time.perf_counter() + SOON)
        signal.setitimer(signal.ITIMER_REAL, SOON)
        return sent[0]

    before = signal.signal(signal.SIGALRM, handler)
    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", LONG_CALLS)
def test_a_signal_is_heard_during_a_call(name, n_threads, alarm, monkeypatch):
    monkeypatch.setattr("transfer_kernels.kernels.native_runtime.thread_count", lambda: n_threads)
    call = LONG_CALLS[name]()
    sent = alarm()
    with pytest.raises(Heard):
        call()
    assert time.perf_counter() - sent < PATIENCE


def test_keyboard_interrupt_stops_a_call():
    call = scatter(30_000, 3000)
    threading.Timer(SOON, signal.raise_signal, [signal.SIGINT]).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        call()
    assert time.perf_counter() - start < SOON + PATIENCE


def test_scores_after_an_interrupt_are_the_same(alarm):
    X, y = make_problem(600, 40, 5)
    expected = tk.score(X, y, backend="native")
    alarm()
    with pytest.raises(Heard):
        scatter(30_000, 3000)()
    assert tk.score(X, y, backend="native") == expected


def test_a_handler_that_returns_stops_nothing():
    X, y = wide(20_000, 1500), codes(20_000, 10)
    expected = tk.ops.fisher_scatter(X, y, 10, backend="native").gram
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(time.perf_counter()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        found = tk.ops.fisher_scatter(X, y, 10, backend="native").gram
        end = time.perf_counter()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard and heard[0] < end
    assert np.array_equal(found, expected)


def test_calls_on_other_threads_go_on(alarm):
    X, y = wide(20_000, 1500), codes(20_000, 10)
    expected = tk.ops.fisher_scatter(X, y, 10, backend="native").gram
    found = []
    other = threading.Thread(
        target=lambda: found.append(tk.ops.fisher_scatter(X, y, 10, backend="native").gram)
    )
    alarm()
    other.start()
    with pytest.raises(Heard):
        scatter(30_000, 3000)()
    other.join()
    assert np.array_equal(found[0], expected)
