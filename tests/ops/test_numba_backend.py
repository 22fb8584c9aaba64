"""What is special to Numba: no compilation at import, a cache on disk or none, no thread layer."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import in_subprocess, make_problem

from transfer_kernels import ops
from transfer_kernels.kernels.logme_evidence import EvidenceRule, numba_cpu, reference
from transfer_kernels.kernels.parc_correlation import numba_cpu as parc
from transfer_kernels.kernels.parc_correlation import reference as parc_reference

RUN_ALL = """
import numpy as np
from transfer_kernels import ops
rng = np.random.default_rng(0)
X, codes = rng.normal(size=(60, 5)), np.arange(60) % 3
ops.first_nonfinite(X, backend="numba")
ops.fisher_scatter(X, codes, 3, rng.random(60), backend="numba")
ops.self_challenging(X, codes, np.ones((3, 5)), np.zeros(3), backend="numba")
ops.logme_evidence(X.T @ X, X.T @ X[:, :2], np.ones(2), 60, 5, backend="numba")
ops.parc_correlation(X, codes, backend="numba")
"""


def test_numba_is_imported_where_it_is_chosen_and_importing_a_version_compiles_nothing():
    pytest.importorskip("transfer_kernels._native")
    result = in_subprocess(
        "import sys\n"
        "from transfer_kernels.ops.backends import choose_backend\n"
        "choose_backend()\n"
        "print('numba' in sys.modules)\n"
        "choose_backend('numba')\n"
        "print('numba' in sys.modules)\n"
        "from transfer_kernels.kernels.fisher_scatter import numba_cpu\n"
        "from transfer_kernels.kernels.parc_correlation import numba_key_counts as key_counts\n"
        "print(numba_cpu._pack.signatures, key_counts.gather.signatures)"
    )
    assert result.stdout.split("\n")[:3] == ["False", "True", "[] []"], result.stderr


def test_compiled_kernels_are_kept_on_disk(tmp_path):
    count = (
        "from transfer_kernels.kernels.fisher_scatter.numba_cpu import _pack_weighted\n"
        "print(sum(_pack_weighted.stats.cache_hits.values()))"
    )
    runs = [in_subprocess(RUN_ALL + count, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert [run.stdout for run in runs] == ["0\n", "1\n"], runs[1].stderr


@pytest.mark.exhaustive
def test_works_where_no_cache_can_be_written():
    # Numba's locators refuse every folder, as on a read-only install without a home.
    code = "from numba.core import caching\ncaching.CacheImpl._locator_classes = []\n"
    result = in_subprocess(code + RUN_ALL + "print('served')")
    assert result.stdout == "served\n", result.stderr


def test_numbas_threads_are_not_touched():
    code = "import numba.np.ufunc.parallel as parallel\nprint(parallel._is_initialized)"
    result = in_subprocess(RUN_ALL + code)
    assert result.stdout == "False\n", result.stderr


@pytest.mark.parametrize("n_threads", [1, 2, 3, 5])
def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch, n_threads):
    X, codes = make_problem(700, 90, 7)
    weights = np.random.default_rng(0).random(len(X))

    def results():
        scatter = ops.fisher_scatter(X, codes, 7, weights, backend="numba")
        coef = np.random.default_rng(1).normal(size=(7, 90))
        own, challenge = ops.self_challenging(X, codes, coef, np.zeros(7), backend="numba")
        correlation = ops.parc_correlation(X, codes, backend="numba")
        return np.triu(scatter.shifted_gram), scatter.shifted_sums, own, challenge, correlation

    monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", "1")
    expected = results()
    monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", str(n_threads))
    for ours, one in zip(results(), expected, strict=True):
        np.testing.assert_array_equal(ours, one)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_first_use_from_eight_threads(dtype):
    X, codes = make_problem(400, 30, 5, dtype=dtype)

    def once(_):
        return ops.fisher_scatter(X, codes, 5, backend="numba").shifted_sums

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(once, range(16)))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_child_computes_the_same():
    code = RUN_ALL + (
        "import os, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "expected = ops.parc_correlation(X, codes, backend='numba')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if ops.parc_correlation(X, codes, backend='numba') == expected else 1)\n"
        "print(os.waitpid(child, 0)[1])"
    )
    result = in_subprocess(code)
    assert result.stdout == "0\n", result.stderr


def test_singular_tridiagonal_system_falls_back_to_eigenvectors():
    # With t below the rounding of the eigenvalues, gram + t I is not positive definite.
    rng = np.random.default_rng(0)
    F = np.repeat(rng.normal(size=(40, 4)), 5, axis=1) * 1e9
    Y = F[:, :1] * 1e-9 @ np.ones((1, 3)) + 0.1 * rng.normal(size=(40, 3))
    squares = (Y * Y).sum(axis=0)
    rule = EvidenceRule(epsilon=1e-5)
    arguments = F.T @ F, F.T @ Y, squares, 40, 20, rule
    diagonal, off_diagonal, _ = numba_cpu._tridiagonal(*arguments[:2])
    solved = numba_cpu._solve(
        diagonal, off_diagonal, 1e-300, np.ones(20), np.empty(20), np.empty(20)
    )
    assert not solved
    ours, expected = (m.logme_evidence(*arguments) for m in (numba_cpu, reference))
    np.testing.assert_allclose(ours.evidences, expected.evidences, rtol=1e-6)


@pytest.mark.parametrize("kind", ["general", "two values", "duplicates", "one cluster"])
@pytest.mark.parametrize("n_classes", [2, 9])
def test_parc_in_slices_and_with_split_bins(monkeypatch, kind, n_classes):
    # Small limits, so that a small problem takes every path of a large one.
    monkeypatch.setattr(parc, "SLICE_KEYS", 3000)
    monkeypatch.setattr(parc, "EXACT_TIES_PAIRS", 0)
    monkeypatch.setattr(parc, "TOTAL_BIN_BITS", 8)
    monkeypatch.setattr(parc, "PARTITION_BUCKET_BITS", 4)
    monkeypatch.setattr(parc, "BUFFER_KEYS", 1)
    X, codes = make_problem(300, 6, n_classes, seed=3, dtype=np.float64)
    if kind == "two values":
        X = np.where(codes[:, None] % 2 == 0, [[1.0, 2.0, 4.0]], [[4.0, -1.0, 0.0]])
        codes = np.random.default_rng(0).permutation(codes)
    elif kind == "duplicates":
        X = X[np.random.default_rng(0).integers(0, 40, len(X))]
    elif kind == "one cluster":
        X[20:] = X[20] + 1e-3 * X[20:]
    ours = parc.parc_correlation(X, codes)
    assert ours == pytest.approx(parc_reference.parc_correlation(X, codes), abs=2e-9)


def test_parc_vectors_refuses_more_pairs_than_it_can_keep():
    with pytest.raises(ValueError, match="25000 rows.*at most 23170 rows"):
        parc.parc_correlation_vectors(np.zeros((25_000, 1)), np.zeros((25_000, 1)))
