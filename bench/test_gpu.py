"""The GPU benchmark: a case that fails is a row and stops nothing; rows that are there stay."""

import numpy as np
import pytest

from bench.rows import Rows

torch = pytest.importorskip("torch")

from bench import gpu, gpu_tables, plain_torch  # noqa: E402
from bench.gpu import Case, Device  # noqa: E402


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the benchmark of some cases with the backend "torch"; its report."""
    monkeypatch.setenv("TRANSFER_KERNELS_TORCH_ON_HOST", "1")
    monkeypatch.setattr(gpu, "available", lambda device: ["torch"])

    def run(*cases):
        monkeypatch.setattr(gpu, "cases", lambda device, sizes: iter(cases))
        rows, device = Rows(tmp_path / "rows.jsonl"), Device("cpu")
        gpu.run(device, gpu.QUICK, ["torch"], 1, rows)
        return gpu.report(device, True, rows)

    return run


def case(name, call, expected=1.0, plain=None, **more):
    return Case(name, "1 x 1", lambda backend: call(), lambda: expected, plain, 1.0, 1.0, **more)


def test_a_failing_case_is_a_row_and_the_next_one_runs(run):
    def fail():
        raise RuntimeError("no such kernel")

    found = run(case("bad", fail), case("good", lambda: 1.0, plain=lambda: 1.0 + 1e-12))
    assert [row["name"] for row in found["failed"]] == ["bad"]
    assert found["failed"][0]["said"] == "RuntimeError: no such kernel"
    (row,) = found["rows"]
    assert row["match"] and row["same_bits"] and row["plain"]["error"] == pytest.approx(1e-12, 0.1)


def test_rows_that_are_there_are_not_measured_again(run):
    calls = []
    for _ in range(2):
        found = run(case("once", lambda: calls.append(1) or 1.0))
        assert len(found["rows"]) == 1
        n_calls = len(calls)
    assert len(calls) == n_calls > 0 and run(case("once", lambda: 1 / 0))["rows"] == found["rows"]


@pytest.mark.parametrize("relative, match", [(True, False), (False, True)])
def test_errors_of_correlations_are_absolute(run, relative, match):
    found = run(case("small", lambda: 1e-3 + 1e-11, 1e-3, tolerance=1e-9, relative=relative))
    assert found["rows"][0]["match"] is match


def test_values_that_change_from_run_to_run_show(run):
    values = iter(np.linspace(1.0, 1.0 + 1e-12, 10))
    assert not run(case("restless", lambda: next(values)))["rows"][0]["same_bits"]


@pytest.mark.parametrize("weighted", [False, True])
def test_plain_scatter_is_right(weighted, monkeypatch):
    monkeypatch.setattr(plain_torch, "BLOCK_ROWS", 16)
    X, y = torch.randn(50, 13), torch.randint(0, 3, (50,))
    w = torch.rand(50, dtype=torch.float64) if weighted else None
    ones = torch.ones(50, dtype=torch.float64) if w is None else w
    counts, sums, gram = plain_torch.fisher_scatter(X, y, 3, w)
    Z, members = X.double(), torch.eye(3, dtype=torch.float64)[y].T
    torch.testing.assert_close(counts, members @ ones)
    torch.testing.assert_close(sums, members @ (ones[:, None] * Z))
    torch.testing.assert_close(gram, (Z.T @ (ones[:, None] * Z)).triu())


def test_tables_of_a_report(run):
    found = run(case("good", lambda: 1.0, plain=lambda: 1.0))
    found |= {"commit": "abc", "date": "today"}
    found["device"] |= {"driver": "1", "cuda": "13"}
    found["rows"][0]["extra_bytes"] = 5e6
    assert "| good | 1 x 1 | torch |" in gpu_tables.device_table(found)
