"""Many threads at once, forked children, repeated runs: the same bits; memory stays bounded."""

import multiprocessing
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import in_subprocess, make_problem

import transfer_kernels as tk


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        yield


def test_eight_threads_give_the_same_bits(backend):
    X, y = make_problem(700, 70, 9)
    expected = tk.score(X, y, backend=backend)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: tk.score(X, y, backend=backend), range(24)))
    assert all(result == expected for result in results)


def _child(queue, X, y, backend):
    queue.put(tk.score(X, y, backend=backend))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork"
)
def test_fork_after_use(backend):
    X, y = make_problem(300, 40, 5)
    expected = tk.score(X, y, backend=backend)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks with threads
        children = [context.Process(target=_child, args=(queue, X, y, backend)) for _ in range(2)]
        for child in children:
            child.start()
    results = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join(60)
    assert results == [expected, expected]


PEAK = """
import resource, sys, warnings, numpy as np, transfer_kernels as tk
warnings.simplefilter("ignore")
n, d, C = {n}, {d}, 20
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
small = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
tk.score(small, np.arange(200) % C, backend="{backend}")
X = np.empty((n, d), np.float32)
rng = np.random.default_rng(0)
for i in range(0, n, 1000):
    X[i : i + 1000] = rng.standard_normal((1000, d), dtype=np.float32)
y = np.arange(n) % C
before = peak()
tk.score(X, y, ["{metric}"], backend="{backend}")
print(peak() - before)
"""


@pytest.mark.skipif(not __import__("sys").platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("metric", ["sfda", "logme", "parc(n_components=32)"])
@pytest.mark.parametrize("name", ["native", pytest.param("numba", marks=pytest.mark.exhaustive)])
def test_memory_beyond_the_features(metric, name):
    if name == "native":
        pytest.importorskip("transfer_kernels._native")
    n, d, C = 20_000, 512, 20
    result = in_subprocess(PEAK.format(n=n, d=d, backend=name, metric=metric))
    assert result.returncode == 0, result.stderr
    square, features = 8 * d * d, 4 * n * d
    per_sample = 8 * n * (32 + 42) * 2 if "parc" in metric else 8 * n * 16
    allowed = 24 * square + 16 * 8 * C * d + per_sample + (48 << 20)
    if "parc" in metric:
        allowed += 640 << 20  # counters of a fixed size, whatever n
    else:
        assert allowed < 3 * features
    assert int(result.stdout) < allowed
