"""Packages that are there and do not load: reported, warned of once; the next backend serves."""

import subprocess
import sys

import pytest
from conftest import in_subprocess

from transfer_kernels import optional_packages
from transfer_kernels.ops.backends import BACKENDS

FAULTS = {
    "ImportError": "raise ImportError('numpy.core.multiarray failed to import')",
    "missing library": "raise OSError('libcudart.so.12: cannot open shared object file')",
    "RuntimeError": "raise RuntimeError('compiled for\\nanother API \\x1b[31m')",
    "AttributeError": "import math; math.nothing",
    "dependency": "import llvmlite_that_is_not_there",
    "empty": "",
}


@pytest.fixture
def stubs(tmp_path):
    """Make packages that fail in a given way; returns the folder for PYTHONPATH."""

    def make(fault, *packages):
        for package in packages:
            (tmp_path / package).mkdir()
            (tmp_path / package / "__init__.py").write_text(FAULTS[fault] + "\n")
        return str(tmp_path)

    return make


SCORES = """
import importlib.abc, sys, warnings
class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "transfer_kernels._native":
            raise OSError("libstdc++.so.6: version GLIBCXX_3.4.99 not found")
sys.meta_path.insert(0, Broken())
import numpy as np
import transfer_kernels as tk
assert "numba" not in sys.modules and "torch" not in sys.modules
X, y = np.random.default_rng(0).normal(size=(90, 5)), np.arange(90) % 3
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    scores = [tk.score(X, y) for _ in range(3)]
    table = tk.rank({"a": X, "b": X + 1}, y)
assert scores[0] == scores[2] == tk.score(X, y, backend="reference") and not table.errors
print(len(caught))
for one in caught:
    print(one.message)
tk.show_backends()
for name in ("native", "numba"):
    try:
        tk.sfda(X, y, backend=name)
    except ValueError as error:
        print("refused:", error)
for call in (table.plot, table.to_pandas):
    try:
        call()
    except ImportError as error:
        print("needs:", error)
from transfer_kernels import recommend
for name in ("ModelSpider", "archi2vec"):
    try:
        getattr(recommend, name)
    except ImportError as error:
        print("needs:", error)
"""


EXHAUSTIVE = {"RuntimeError", "AttributeError", "dependency"}


@pytest.mark.parametrize(
    "fault",
    [pytest.param(f, marks=[pytest.mark.exhaustive] * (f in EXHAUSTIVE)) for f in FAULTS],
)
def test_the_next_backend_serves_and_all_is_reported(stubs, fault):
    packages = ("numba", "torch", "triton", "matplotlib", "pandas", "gensim")
    done = in_subprocess(SCORES, PYTHONPATH=stubs(fault, *packages))
    assert done.returncode == 0, done.stderr
    number, *lines = done.stdout.splitlines()
    assert number == "2", done.stdout  # one for each backend, however often it is asked
    assert "backend 'native' is passed over: the compiled module _native is installed" in lines[0]
    assert "backend 'numba' is passed over: the package numba is installed" in lines[1]
    assert all(line.endswith("'reference' serves instead") for line in lines[:2])
    backends = [line for line in lines if line.startswith("  ")][: len(BACKENDS)]
    report = {line.split()[0]: line for line in backends}
    assert "GLIBCXX_3.4.99 not found" in report["native"]
    for backend in ("numba", "torch", "triton"):
        assert "not available: " in report[backend]
        assert "is installed but does not load (" in report[backend]
    assert any(line.split() == ["chosen", "cpu", "reference"] for line in lines)
    assert sum(line.startswith("refused: backend=") for line in lines) == 2
    needs = [line for line in lines if line.startswith("needs: ")]
    assert len(needs) == 4
    assert all("is installed but does not load (" in line for line in needs)
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_info_reports_a_broken_package_and_exits_well(stubs):
    import os

    done = subprocess.run(
        [sys.executable, "-m", "transfer_kernels", "info"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": stubs("missing library", "numba", "torch")},
    )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.count("libcudart.so.12: cannot open shared object file") >= 2


def test_a_folder_named_like_a_package_is_no_package(tmp_path):
    for name in ("torch", "numba"):
        (tmp_path / name).mkdir()
    code = (
        "import torch, numpy as np, transfer_kernels as tk\n"
        "X, y = np.random.default_rng(0).normal(size=(90, 5)), np.arange(90) % 3\n"
        "print(len(tk.score(X, y)))\n"
        "print(tk.describe_backends())"
    )
    # Without the site's packages, where the real ones would come first.
    done = in_subprocess(
        "import sys, importlib.machinery, importlib.util\n"
        "class Empty:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'numba'):\n"
        "            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)\n"
        f"            spec.submodule_search_locations = [{str(tmp_path)!r} + '/' + name]\n"
        "            return spec\n"
        "sys.meta_path.insert(0, Empty())\n" + code
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3\n")
    (numba,) = [line for line in done.stdout.splitlines() if line.startswith("  numba      cpu")]
    assert "installed but does not load (AttributeError" in numba


def test_missing_is_no_fault(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    reason = optional_packages.obstacle("numba", "njit")
    assert reason == "the package numba is not installed"
    assert not isinstance(reason, optional_packages.Unloadable)
    with pytest.raises(ImportError, match=r'plotting needs numba: pip install "transfer_kern'):
        optional_packages.require("numba", use="plotting", extra="plot")
