"""The GPU backends on one device: time beside floor and plain PyTorch, values checked first.

    python -m bench.gpu --out bench/results/<device>.json
    python -m bench.gpu --quick     small sizes; without a GPU the kernels then run on the host, to
                                    see that all of it works: no time of such a run means anything
    python -m bench.gpu --rows FILE keeps each row in FILE as it comes, and leaves out those there

A case that fails is a row too, with its error, and the next one runs. Where the error may have made
the GPU useless for the process, the run ends with status 75: with --rows, start it again.

Floors are what bytes and multiply-adds alone would take at ceilings that the same run measures.
Expected values are those of the CPU backend that is chosen by default.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import transfer_kernels as tk
from transfer_kernels.kernels.array_namespace import on_host
from transfer_kernels.ops.backends import BACKENDS

from . import data, machine, plain_torch, work
from .rows import AGAIN, CASE_SECONDS, Rows, lost_context, watch
from .timing import summary

RUNS = 20
#: Written between runs, so that no run finds its input in the cache: larger than any L2.
FLUSH_BYTES = 1 << 28
TOLERANCE = 1e-9
SINGLE_TOLERANCE = 1e-5
#: Absolute, of a rank correlation: both sides may be binned, each to 1e-9 however small the value.
CORRELATION_TOLERANCE = 2e-9
#: The contender that is no backend.
PLAIN = "plain"


@dataclass(frozen=True)
class Sizes:
    """Samples of the scatter-like ops and of PARC, features, classes, principal components."""

    n: int
    pairs: int
    d: int
    n_classes: int
    n_components: int
    matmul: int
    copy_bytes: int


FULL = Sizes(50_000, 50_000, 2048, 100, 32, 8192, 1 << 31)
QUICK = Sizes(150, 60, 24, 3, 4, 64, 1 << 16)


class Device:
    """Times calls on a GPU by its own events; on the host by the clock."""

    def __init__(self, name: str):
        self.name = name
        self.is_gpu = name != "cpu"
        self._flush = torch.empty(FLUSH_BYTES if self.is_gpu else 1, dtype=torch.int8, device=name)

    def seconds(self, call: Callable[[], Any], runs: int) -> list[float]:
        """Seconds of each run, after two that do not count; each run starts with a cold cache."""
        if not self.is_gpu:
            start = time.perf_counter()
            call()
            return [time.perf_counter() - start]
        call(), call()
        marks = []
        for _ in range(runs):
            self._flush.zero_()
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            call()
            last.record()
            marks.append((first, last))
        torch.cuda.synchronize()
        return [first.elapsed_time(last) / 1e3 for first, last in marks]

    def extra_bytes(self, call: Callable[[], Any]) -> int | None:
        """Most memory that a call holds beyond what was held before; None on the host."""
        if not self.is_gpu:
            return None
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before

    def facts(self) -> dict:
        """What a reader needs to judge the numbers."""
        facts: dict[str, Any] = {"name": "host (kernels interpreted)", "torch": torch.__version__}
        if self.is_gpu:
            facts["name"] = torch.cuda.get_device_name()
            facts["capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
            facts["cuda"] = torch.version.cuda
            query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            driver = subprocess.run(query, capture_output=True, text=True).stdout.split()
            facts["driver"] = driver[0] if driver else None
        return facts


def ceilings(device: Device, sizes: Sizes) -> dict:
    """Flops of large matrix products by precision, and bytes of a copy, a second."""

    def rate(amount, call):
        return amount / float(np.median(device.seconds(call, 10)))

    n = sizes.matmul
    found = {}
    for name, dtype in (("float64", torch.float64), ("tf32", torch.float32)):
        A = torch.randn(n, n, dtype=dtype, device=device.name)
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        found[f"{name}_flops"] = rate(2.0 * n**3, lambda A=A: A @ A)
    torch.backends.cuda.matmul.allow_tf32 = False
    source = torch.empty(sizes.copy_bytes, dtype=torch.int8, device=device.name)
    target = torch.empty_like(source)
    found["bytes"] = rate(2.0 * sizes.copy_bytes, lambda: target.copy_(source))
    return found


@dataclass(frozen=True)
class Case:
    """One line of the table: an op or metric, what it should give, what bounds it.

    Parameters
    ----------
    name, size : str
    call : callable
        ``call(backend)`` gives values, on the device or off it.
    expected : callable
        Gives the CPU backend's values.
    plain : callable or None
        The same in plain PyTorch on the device.
    flops, bytes : float
        What must be done at least.
    tolerance : float
        Largest error allowed, in the maximum norm of each value.
    relative : bool
        Whether to the largest entry of the value.
    backends : tuple of str
    peak : str
        Ceiling for the flops.
    """

    name: str
    size: str
    call: Callable[[str], Any]
    expected: Callable[[], Any]
    plain: Callable[[], Any] | None
    flops: float
    bytes: float
    tolerance: float = TOLERANCE
    relative: bool = True
    backends: tuple[str, ...] = ("cuda", "torch", "triton")
    peak: str = "float64_flops"


def scatter_values(scatter) -> tuple:
    """What of a scatter is compared."""
    gram = np.triu(on_host(scatter.shifted_gram))
    return tuple(map(on_host, (scatter.counts, scatter.sums))) + (gram,)


def cases(device: Device, sizes: Sizes) -> Iterator[Case]:
    """All lines; features stay on the device from one to the next."""
    n, d, C = sizes.n, sizes.d, sizes.n_classes
    X_host, y_host = data.make(data.Problem(n, d, C))
    X, y = (torch.from_numpy(array).to(device.name) for array in (X_host, y_host))
    weights = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shape = f"{n} x {d}, C = {C}"
    scatter_bytes = X.nbytes + 8.0 * d * (d + C)
    for weighted in (False, True):
        w_host = weights.numpy() if weighted else None
        w = weights.to(device.name) if weighted else None

        def scatter(backend, w=w, **options):
            return tk.ops.fisher_scatter(X, y, C, w, backend=backend, **options)

        def expected(w=w_host):
            return scatter_values(tk.ops.fisher_scatter(X_host, y_host, C, w))

        name = "fisher_scatter" + (", weighted" if weighted else "")
        flops = work.fisher_scatter(n, d)
        yield Case(
            name,
            shape,
            scatter,
            expected,
            lambda w=w: plain_torch.fisher_scatter(X, y, C, w),
            flops,
            scatter_bytes,
        )
        yield Case(
            f"{name}, float32 products",
            shape,
            lambda backend, scatter=scatter: scatter(backend, precision="float32"),
            expected,
            None,
            3.0 * flops,
            scatter_bytes,
            SINGLE_TOLERANCE,
            backends=("triton",),
            peak="tf32_flops",
        )

    rng = np.random.default_rng(0)
    coef, intercept = rng.normal(size=(C, d)) / np.sqrt(d), rng.normal(size=C)
    coef_there, intercept_there = (
        torch.from_numpy(array).to(device.name) for array in (coef, intercept)
    )
    yield Case(
        "self_challenging",
        shape,
        lambda backend: tk.ops.self_challenging(X, y, coef_there, intercept_there, backend=backend),
        lambda: tk.ops.self_challenging(X_host, y_host, coef, intercept),
        lambda: plain_torch.self_challenging(X, y, coef_there, intercept_there),
        work.self_challenging(n, d, C),
        X.nbytes,
    )

    problem = tk.Problem(X_host, y_host)
    gram, moments = np.triu(problem.gram), np.ascontiguousarray(problem.scatter.sums.T)
    squares = problem.class_counts
    evidence_input = [torch.from_numpy(a).to(device.name) for a in (gram, moments, squares)]

    def evidence(backend):
        return tk.ops.logme_evidence(*evidence_input, n, d, backend=backend).evidences

    yield Case(
        "logme_evidence",
        f"{d} x {d}, {C} targets",
        evidence,
        lambda: tk.ops.logme_evidence(gram, moments, squares, n, d).evidences,
        lambda: plain_torch.logme_evidence(*evidence_input, n, d),
        work.logme_evidence(d, C),
        8.0 * d * (d + C),
    )

    Z_host, labels_host = data.make(data.Problem(sizes.pairs, sizes.n_components, C))
    Z, labels = (torch.from_numpy(array).to(device.name) for array in (Z_host, labels_host))
    yield Case(
        "parc_correlation",
        f"{sizes.pairs} x {sizes.n_components}, C = {C}",
        lambda backend: tk.ops.parc_correlation(Z, labels, backend=backend),
        lambda: tk.ops.parc_correlation(Z_host, labels_host),
        None,
        work.parc_correlation(sizes.pairs, sizes.n_components),
        Z.nbytes,
        CORRELATION_TOLERANCE,
        relative=False,
    )

    def metric(name, metric, flops, tolerance=TOLERANCE, relative=True, **options):
        return Case(
            name,
            shape,
            lambda backend: metric(X, y, backend=backend, **options),
            lambda: metric(X_host, y_host, **options),
            None,
            flops,
            X.nbytes,
            tolerance,
            relative,
        )

    yield metric("SFDA", tk.sfda, work.sfda(n, d, C))
    yield metric("LogME", tk.logme, work.logme(n, d, C))
    f = sizes.n_components
    yield metric(
        f"PARC, f = {f}",
        tk.parc,
        work.parc(n, d, f),
        100.0 * CORRELATION_TOLERANCE,
        relative=False,
        n_components=f,
    )


def as_values(result) -> tuple:
    """Results of any op as NumPy arrays."""
    if hasattr(result, "shifted_gram"):
        return scatter_values(result)
    if isinstance(result, tuple):
        return tuple(map(on_host, result))
    return (on_host(result),)


def largest_error(found: tuple, expected: tuple, relative: bool = True) -> float:
    """Largest error, if relative to the largest entry of its value; NaN counts as infinite."""
    errors = []
    for one, other in zip(found, expected, strict=True):
        scale = (float(np.abs(other).max()) or 1.0) if relative else 1.0
        errors.append(float(np.abs(one - other).max()) / scale)
    return float(max(np.nan_to_num(errors, nan=np.inf)))


def contenders(case: Case, device: Device, wanted: list[str]) -> list[str]:
    """The backends that are there and wanted, and plain PyTorch."""
    found = [name for name in case.backends if name in wanted and name in available(device)]
    return found + [PLAIN] * (case.plain is not None)


def measured(case: Case, contender: str, expected, device: Device, ceiling: dict, runs: int):
    """One row: the values are checked before the time is taken."""

    def call():
        return case.plain() if contender == PLAIN else case.call(contender)

    first, second = (as_values(call()) for _ in range(2))
    error = largest_error(first, expected, case.relative)
    return {
        "error": error,
        "tolerance": case.tolerance,
        "relative": case.relative,
        "match": bool(error <= case.tolerance),
        "same_bits": all(map(np.array_equal, first, second)),
        "seconds": summary(device.seconds(call, runs)),
        "floor_s": max(case.flops / ceiling[case.peak], case.bytes / ceiling["bytes"]),
        "extra_bytes": device.extra_bytes(call),
    }


def available(device: Device) -> list[str]:
    """GPU backends that can run, on the device or, for a trial, on the host."""
    usable = (b for b in BACKENDS if b.device == "cuda" and b.obstacle() is None)
    return [b.name for b in usable if b.served_device == ("cuda" if device.is_gpu else "cpu")]


def run(device: Device, sizes: Sizes, wanted: list[str], runs: int, rows: Rows) -> None:
    """Add the rows that are missing; `SystemExit` where a new process should go on."""
    ceiling = rows.latest.get("ceilings", {}).get("values")
    if ceiling is None:
        rows.begin("ceilings")
        ceiling = ceilings(device, sizes)
        rows.end("ceilings", "measured", values=ceiling)
    for case in cases(device, sizes):
        expected = None
        for contender in contenders(case, device, wanted):
            key = f"{case.name} | {case.size} | {contender}"
            if rows.is_done(key):
                continue
            if expected is None:
                expected = as_values(case.expected())
            named = {"name": case.name, "size": case.size, "backend": contender}
            rows.begin(key)
            hanging = watch(CASE_SECONDS)
            try:
                row = measured(case, contender, expected, device, ceiling, runs)
            except Exception as error:  # whatever it is, the next case runs
                said = f"{type(error).__name__}: {error}"
                rows.end(key, "failed", **named, said=said[:400])
                print(f"{key}: {said}", file=sys.stderr)
                if device.is_gpu and lost_context(said):
                    sys.exit(AGAIN)
                continue
            finally:
                hanging.cancel()
            rows.end(key, "measured", **named, **row)
            print(
                f"{key}: {1e3 * row['seconds']['median']:.3f} ms, "
                f"floor {1e3 * row['floor_s']:.3f} ms, error {row['error']:.1e}",
                file=sys.stderr,
            )


def report(device: Device, quick: bool, rows: Rows) -> dict:
    """What bench.report reads; plain PyTorch's time stands in every row of its case."""
    found = [row for row in rows.latest.values() if row["case"] != "ceilings"]
    plain = {
        (row["name"], row["size"]): {**row["seconds"], "error": row["error"]}
        for row in found
        if row["outcome"] == "measured" and row["backend"] == PLAIN
    }
    backends = [row for row in found if row.get("backend") != PLAIN]
    return {
        "kind": "gpu",
        "quick": quick,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": device.facts(),
        "commit": machine.commit(),
        "versions": machine.versions(),
        "ceilings": rows.latest["ceilings"].get("values"),
        "rows": [
            {**row, "plain": plain.get((row["name"], row["size"]))}
            for row in backends
            if row["outcome"] == "measured"
        ],
        "failed": [row for row in found if row["outcome"] != "measured"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, on the host if need be")
    parser.add_argument("--out", type=Path, help="JSON file to write; default: print it")
    parser.add_argument("--rows", type=Path, help="file in which to keep each row as it comes")
    parser.add_argument("--backends", default="cuda,torch,triton", help="those to measure")
    options = parser.parse_args()

    device = Device("cuda" if torch.cuda.is_available() else "cpu")
    if not device.is_gpu and not options.quick:
        sys.exit("PyTorch sees no CUDA device; --quick tries all of it on the host")
    if not available(device):
        sys.exit(f"no GPU backend is available: {os.linesep}{tk.describe_backends()}")
    with tempfile.TemporaryDirectory() as folder:
        rows = Rows(options.rows or Path(folder, "rows.jsonl"))
        sizes, runs = (QUICK, 3) if options.quick else (FULL, RUNS)
        run(device, sizes, options.backends.split(","), runs, rows)
        found = report(device, options.quick, rows)
    text = json.dumps(found, indent=1) + "\n"
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    else:
        print(text, end="")
    wrong = [row for row in found["rows"] if not (row["match"] and row["same_bits"])]
    for row in [*wrong, *found["failed"]]:
        print(f"wrong or failed: {row}", file=sys.stderr)
    sys.exit(1 if wrong or found["failed"] else 0)


if __name__ == "__main__":
    main()
