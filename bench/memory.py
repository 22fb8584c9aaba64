"""Peak extra memory of one metric: a process with nothing but the features, then the same at work.

As a program, ``python -m bench.memory WORK FEATURES.npy LABELS.npy [--mapped]`` is that process.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from .machine import ROOT


def ours_logme(X, y):
    import transfer_kernels as tk

    tk.logme(X, y)


def ours_sfda(X, y):
    import transfer_kernels as tk

    tk.sfda(X, y)


def ours_parc(X, y):
    import transfer_kernels as tk

    tk.parc(X, y, n_components=32)


def published_logme(X, y):
    from . import published

    published.logme(X, y)


def published_sfda(X, y):
    from . import published

    published.sfda(X, y)


def published_parc(X, y):
    from . import published

    published.parc(X, y, 32)


WORK = {
    work.__name__: work
    for work in (
        ours_logme,
        ours_sfda,
        ours_parc,
        published_logme,
        published_sfda,
        published_parc,
    )
}


def extra_bytes(work: str, features: Path, labels: Path, mapped: bool = False) -> int:
    """Memory that a piece of `WORK` needs beyond features and libraries, at its greatest.

    Parameters
    ----------
    work : str
        Key of `WORK`.
    features, labels : Path
        ``.npy`` files.
    mapped : bool
        Whether the process maps the features instead of reading them.
    """
    command = [sys.executable, "-m", "bench.memory", work, str(features), str(labels)]
    command += ["--mapped"] if mapped else []
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if answer.returncode != 0:
        raise RuntimeError(f"{' '.join(command[2:])} failed:\n{answer.stderr}")
    return json.loads(answer.stdout)["extra_bytes"]


def peak_bytes() -> int:
    """Greatest resident memory of this process so far."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return scale * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", choices=sorted(WORK))
    parser.add_argument("features", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--mapped", action="store_true")
    options = parser.parse_args()
    work = WORK[options.work]

    rng = np.random.default_rng(0)
    work(rng.normal(size=(200, 40)).astype(np.float32), np.arange(200) % 4)  # loads the libraries
    y = np.load(options.labels)
    X = np.load(options.features, mmap_mode="r" if options.mapped else None)
    for start in range(0, len(X), 4096):  # so that the pages of a map are resident
        X[start : start + 4096].max()
    before = peak_bytes()
    work(X, y)
    print(json.dumps({"extra_bytes": peak_bytes() - before}))


if __name__ == "__main__":
    main()
