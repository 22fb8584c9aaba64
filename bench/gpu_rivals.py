"""What library calls take for the same work on a GPU: which own kernels earn their lines?

    python -m bench.gpu_rivals --rows FILE
    python -m bench.gpu_rivals --quick     small sizes, on the host where there is no GPU: no time
                                           of such a run means anything

Each contender is a row of FILE, printed as it comes; one that fails is a row with its error.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch

import transfer_kernels as tk

from .gpu import FULL, QUICK, Device, Sizes, available
from .rows import AGAIN, CASE_SECONDS, Rows, lost_context, watch
from .timing import summary

#: Column blocks of the triangle that cuBLAS is tried with.
COLUMN_BLOCKS = (1, 2, 4, 8, 16)
BLOCK_ROWS = 8192

Contender = tuple[str, Callable[[], object]]


def in_column_blocks(X, weights, shift, parts: int):
    """The weighted Gram matrix's upper triangle by products of `parts` column blocks."""
    d = X.shape[1]
    gram = torch.zeros(d, d, dtype=torch.float64, device=X.device)
    width = -(-d // parts)
    for start in range(0, len(X), BLOCK_ROWS):
        left = X[start : start + BLOCK_ROWS].double().sub_(shift)
        right = left * weights[start : start + BLOCK_ROWS, None]
        for first in range(0, d, width):
            columns = slice(first, min(first + width, d))
            gram[: columns.stop, columns].addmm_(left[:, : columns.stop].T, right[:, columns])
    return gram


def scatter_contenders(device: Device, sizes: Sizes, backends: list[str]) -> Iterator[Contender]:
    """Column blocks of cuBLAS, and the op by each backend."""
    X = torch.randn(sizes.n, sizes.d, device=device.name)
    y = torch.randint(0, sizes.n_classes, (sizes.n,), device=device.name)
    weights = torch.rand(sizes.n, dtype=torch.float64, device=device.name)
    shift = X[:64].double().mean(dim=0)
    for parts in COLUMN_BLOCKS:
        yield (
            f"weighted Gram matrix, {parts} column blocks of cuBLAS",
            lambda p=parts: in_column_blocks(X, weights, shift, p),
        )
    for name in backends:
        yield (
            f"fisher_scatter, weighted, {name}",
            lambda b=name: tk.ops.fisher_scatter(
                X, y, sizes.n_classes, weights, shift=shift, backend=b
            ),
        )


def spectrum_contenders(device: Device, sizes: Sizes, backends: list[str]) -> Iterator[Contender]:
    """Factorisations of PyTorch, and LogME's evidence by each backend, of several sizes."""
    for size in (sizes.d // 4, sizes.d // 2, sizes.d, 2 * sizes.d):
        rows = torch.randn(2 * size, size, dtype=torch.float64, device=device.name)
        gram = rows.T @ rows
        moments = torch.randn(size, sizes.n_classes, dtype=torch.float64, device=device.name)
        squares = (moments**2).sum(dim=0) + 1.0
        for name in ("eigh", "eigvalsh", "cholesky"):
            yield f"{name}, d = {size}", lambda f=name, G=gram: getattr(torch.linalg, f)(G)
        for name in backends:
            yield (
                f"logme_evidence, d = {size}, {name}",
                lambda b=name, G=gram, M=moments, s=squares, d=size: tk.ops.logme_evidence(
                    G, M, s, 2 * d, d, backend=b
                ),
            )


def version_contenders(device: Device, sizes: Sizes) -> Iterator[Contender]:
    """Every version that two small ops have for GPUs, whatever backend it belongs to."""
    X = torch.randn(sizes.n, sizes.d, device=device.name)
    y = torch.randint(0, sizes.n_classes, (sizes.n,), device=device.name)
    coef = torch.randn(sizes.n_classes, sizes.d, dtype=torch.float64, device=device.name)
    intercept = torch.randn(sizes.n_classes, dtype=torch.float64, device=device.name)
    arguments = {"self_challenging": (X, y, coef, intercept), "first_nonfinite": (X,)}
    for op, given in arguments.items():
        for version in ("cuda_gpu", "triton_gpu", "torch_gpu"):
            module = f"transfer_kernels.kernels.{op}.{version}"
            if find_spec(module) is not None:
                yield (
                    f"{op}, {version}",
                    lambda m=module, op=op, given=given: getattr(import_module(m), op)(*given),
                )


def pair_contenders(device: Device, sizes: Sizes, backends: list[str]) -> Iterator[Contender]:
    """PARC's rank sum by each backend, of several numbers of rows."""
    for n in (sizes.pairs // 10, sizes.pairs // 2, sizes.pairs):
        Z = torch.randn(n, sizes.n_components, device=device.name)
        y = torch.randint(0, sizes.n_classes, (n,), device=device.name)
        for name in backends:
            yield (
                f"parc_correlation, {n} x {sizes.n_components}, {name}",
                lambda b=name, Z=Z, y=y: tk.ops.parc_correlation(Z, y, backend=b),
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, on the host if need be")
    parser.add_argument("--rows", type=Path, help="file in which to keep each row as it comes")
    options = parser.parse_args()
    device = Device("cuda" if torch.cuda.is_available() else "cpu")
    if not device.is_gpu and not options.quick:
        sys.exit("PyTorch sees no CUDA device; --quick tries all of it on the host")
    sizes, backends = QUICK if options.quick else FULL, available(device)
    with tempfile.TemporaryDirectory() as folder:
        rows = Rows(options.rows or Path(folder, "rows.jsonl"))
        groups = (
            scatter_contenders(device, sizes, backends),
            spectrum_contenders(device, sizes, backends),
            version_contenders(device, sizes),
            pair_contenders(device, sizes, backends),
        )
        for group in groups:
            for name, call in group:
                if not rows.is_done(name):
                    time_one(name, call, device, rows)
        failed = [row for row in rows.latest.values() if row["outcome"] != "measured"]
    sys.exit(1 if failed else 0)


def time_one(name: str, call: Callable[[], object], device: Device, rows: Rows) -> None:
    """Add the row of one contender; `SystemExit` where a new process should go on."""
    rows.begin(name)
    hanging = watch(CASE_SECONDS)
    try:
        seconds = summary(device.seconds(call, 5))
    except Exception as error:  # whatever it is, the next contender runs
        said = f"{type(error).__name__}: {error}"
        rows.end(name, "failed", said=said[:400])
        print(f"{name}: {said}", flush=True)
        if device.is_gpu and lost_context(said):
            sys.exit(AGAIN)
        return
    finally:
        hanging.cancel()
    rows.end(name, "measured", seconds=seconds)
    print(f"{name}: {1e3 * seconds['median']:.3f} ms", flush=True)


if __name__ == "__main__":
    main()
