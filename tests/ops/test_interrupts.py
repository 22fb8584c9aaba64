"""An interrupt is heard during a compiled kernel, ends that call alone, leaves nothing behind."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from conftest import in_subprocess, make_problem

import transfer_kernels as tk
from transfer_kernels.kernels.logme_evidence import LargestEvidence
from transfer_kernels.ops.backends import implementation

pytest.importorskip("transfer_kernels._native")

if not hasattr(signal, "setitimer"):
    pytest.skip("this system has no interval timer", allow_module_level=True)

SOON = 0.3  # seconds until the signal
PATIENCE = 0.5  # seconds until it is heard


def wide(n, d, seed=0):
    """Rows of features in little memory: each is the one before, shifted by a place."""
    values = np.random.default_rng(seed).standard_normal(n + d, dtype=np.float32)
    return np.lib.stride_tricks.sliding_window_view(values, d)[:n]


def codes(n, n_classes):
    return np.arange(n) % n_classes


def version(op):
    """The compiled version, which does not look through the features first."""
    return implementation(op, "native")


def evidence(size, n_targets):
    gram = wide(size, size).astype(np.float64)
    gram = gram + gram.T + 4.0 * size**0.5 * np.eye(size)
    moments, squares = np.ones((size, n_targets)), np.full(n_targets, 1e6)
    problem = gram, moments, squares, 10 * size, size, LargestEvidence()
    return lambda: version("logme_evidence").logme_evidence(*problem)


def challenges(n, d, n_classes):
    coef, intercept = np.ones((n_classes, d)), np.zeros(n_classes)
    problem = wide(n, d), codes(n, n_classes), coef, intercept
    return lambda: version("self_challenging").self_challenging(*problem)


def scatter(n, d):
    X, y = wide(n, d), codes(n, 10)
    return lambda: version("fisher_scatter").fisher_scatter(X, y, 10)


def ranks(n, d, n_classes=10):
    X, y = wide(n, d), codes(n, n_classes)
    return lambda: version("parc_correlation").parc_correlation(X, y)


def ranks_of_vectors(n):
    X, Y = wide(n, 64), np.abs(wide(n, 5, 1))
    return lambda: version("parc_correlation").parc_correlation_vectors(X, Y)


def finite(n, d):
    X = np.broadcast_to(wide(1, d), (n, d))
    return lambda: version("first_nonfinite").first_nonfinite(X)


def neighbours(n, d):
    return lambda: version("nearest_neighbors").nearest_neighbors(wide(n, d), 3)


def neighbours_of_copies(n, d):
    X = np.ones((n, d), np.float32)
    return lambda: version("nearest_neighbors").nearest_neighbors(X, 3)


# Each runs for seconds when it is left alone, on one thread or two.
LONG_CALLS = {
    "fisher_scatter, wide": lambda: scatter(100_000, 3000),
    "fisher_scatter, narrow": lambda: scatter(8_000_000, 256),
    "first_nonfinite": lambda: finite(100_000_000, 4000),
    "self_challenging": lambda: challenges(200_000, 2000, 300),
    "logme_evidence, reduction": lambda: evidence(4000, 10),
    "logme_evidence, targets": lambda: evidence(400, 50_000),
    "nearest_neighbors": lambda: neighbours(60_000, 600),
    "nearest_neighbors, compared": lambda: neighbours_of_copies(40_000, 300),
    "parc_correlation, binned": lambda: ranks(60_000, 600),
    "parc_correlation, sorted": lambda: ranks(5790, 20_000),
    "parc_correlation, looked up": lambda: ranks(30_000, 512, 30_000 // 100),
    "parc_correlation_vectors, sorted": lambda: ranks_of_vectors(11_000),
    "parc_correlation_vectors, binned": lambda: ranks_of_vectors(40_000),
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


@pytest.fixture
def heard_keyboard():
    """Hear the keyboard, also where a shell started this in the background, to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_keyboard_interrupt_stops_a_call(heard_keyboard):
    call = scatter(100_000, 3000)
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    threading.Timer(SOON, interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        call()
    assert time.perf_counter() - sent[0] < PATIENCE


def test_scores_after_an_interrupt_are_the_same(alarm):
    X, y = make_problem(600, 40, 5)
    expected = tk.score(X, y, backend="native")
    alarm()
    with pytest.raises(Heard):
        scatter(100_000, 3000)()
    assert tk.score(X, y, backend="native") == expected


def test_a_handler_that_returns_stops_nothing(monkeypatch):
    monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", "1")
    X, y = wide(15_000, 1500), codes(15_000, 10)
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


def test_calls_on_other_threads_go_on(alarm, monkeypatch):
    monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", "1")
    X, y = wide(15_000, 1500), codes(15_000, 10)
    expected = tk.ops.fisher_scatter(X, y, 10, backend="native").gram
    found = []
    other = threading.Thread(
        target=lambda: found.append(tk.ops.fisher_scatter(X, y, 10, backend="native").gram)
    )
    other.start()
    alarm()
    with pytest.raises(Heard):
        scatter(100_000, 3000)()
    other.join()
    assert np.array_equal(found[0], expected)


FORKED = """
import os, signal, threading, time, numpy as np
from transfer_kernels.kernels.first_nonfinite.native_cpu import first_nonfinite

class Heard(Exception): pass
def handler(*_): raise Heard

first_nonfinite(np.ones((3, 3)))
def fork():
    child = os.fork()
    if child: os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    start = time.perf_counter()
    try: first_nonfinite(np.broadcast_to(np.ones(4000, np.float32), (100_000_000, 4000)))
    except Heard: os._exit(0 if time.perf_counter() - start < 0.6 else 2)
    os._exit(1)
threading.Thread(target=fork).start()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_hears_signals_on_the_thread_that_forked():
    result = in_subprocess(FORKED)
    assert result.returncode == 0, result.stderr


AT_EXIT = """
import threading, time, numpy as np
from transfer_kernels.kernels.first_nonfinite.native_cpu import first_nonfinite

X = np.broadcast_to(np.ones(4000, np.float32), (100_000_000, 4000))
threading.Thread(target=first_nonfinite, args=(X,), daemon=True).start()
time.sleep(0.02)
"""


def test_the_interpreter_may_end_during_a_call():
    """A daemon thread's call asks for nothing: no lock of an interpreter that is gone."""
    result = in_subprocess(AT_EXIT)
    assert (result.returncode, result.stderr) == (0, "")
