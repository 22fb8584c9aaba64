"""What a fresh process pays: the import, and the first call of a metric."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from .machine import ROOT, available_backends
from .timing import summary

IMPORT = """
import time
start = time.perf_counter()
import transfer_kernels
print(time.perf_counter() - start)
"""
FIRST_CALL = """
import time
import numpy as np
import transfer_kernels as tk
X = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
y = np.arange(500) % 5
start = time.perf_counter()
tk.{metric}(X, y, backend={backend!r})
print(time.perf_counter() - start)
"""


def seconds_printed(code: str, **environment: str) -> float:
    """The number that Python code prints in a fresh interpreter."""
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(answer.stdout)


def import_time(runs: int) -> dict:
    """Summary of the seconds that ``import transfer_kernels`` takes, NumPy's import included."""
    seconds_printed(IMPORT)
    return summary([seconds_printed(IMPORT) for _ in range(runs)])


def first_calls(metrics=("logme", "sfda", "parc")) -> list[dict]:
    """Seconds of the first call on 500 x 64 features, for each backend but the reference.

    For Numba once with an empty cache, when everything compiles, and once with the cache filled.
    """
    rows = []
    for backend in available_backends():
        if backend == "reference":
            continue
        for metric in metrics:
            code = FIRST_CALL.format(metric=metric, backend=backend)
            row = {"backend": backend, "metric": metric}
            if backend == "numba":
                with tempfile.TemporaryDirectory() as cache:
                    row["seconds_empty_cache"] = seconds_printed(code, NUMBA_CACHE_DIR=cache)
                    row["seconds"] = seconds_printed(code, NUMBA_CACHE_DIR=cache)
            else:
                seconds_printed(code)
                row["seconds"] = seconds_printed(code)
            rows.append(row)
    return rows
