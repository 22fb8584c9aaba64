"""Compiles every Triton kernel for every architecture, without a GPU, and checks what it takes.

    python tests/gpu_resources/triton.py --check     against the table beside this file
    python tests/gpu_resources/triton.py --write     this Triton's part of the table anew

The table has a part for each release of Triton that is checked: the oldest supported and the newest
known. Architectures that a release cannot compile for are told and left out.

The ops themselves are called, on small matrices on the host, with a driver that names a GPU that is
not there and launches that only compile: so the specialisations, block sizes and options are those
that the ops launch. Refused: spills but for a few known ones, more shared memory than a block may
have, registers or shared memory that grew, and products by other instructions of the
tensor cores than before, or by none.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# The script's own name would hide the package's.
sys.path = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]
os.environ.pop("TRITON_INTERPRET", None)

import torch  # noqa: E402
import triton  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

from transfer_kernels.kernels import triton_runtime  # noqa: E402
from transfer_kernels.kernels.first_nonfinite import triton_gpu as first_nonfinite  # noqa: E402
from transfer_kernels.kernels.fisher_scatter import triton_gpu as fisher_scatter  # noqa: E402
from transfer_kernels.kernels.logme_evidence import EvidenceRule  # noqa: E402
from transfer_kernels.kernels.logme_evidence import triton_gpu as logme_evidence  # noqa: E402
from transfer_kernels.kernels.parc_correlation import tensor_ranks  # noqa: E402
from transfer_kernels.kernels.parc_correlation import triton_gpu as parc_correlation  # noqa: E402
from transfer_kernels.kernels.self_challenging import triton_gpu as self_challenging  # noqa: E402
from transfer_kernels.kernels.triton_versions import obstacle_of, release  # noqa: E402

TABLE = Path(__file__).with_suffix(".json")
WORKERS = 2
#: Shared memory that a block may have, in bytes, by architecture; 8.6 and 8.9, which run what is
#: compiled for 8.0, have the least of their kind.
SHARED_LIMITS = {80: 99 * 1024, 90: 227 * 1024, 100: 227 * 1024}
#: What a kernel may take beyond its entry in the table.
MORE_REGISTERS, MORE_SHARED = 8, 1024
#: Bytes of stack a thread that pass, by release: 3.6 parks registers, two where rows are not
#: aligned, eight on 8.0 where pairs are counted.
PARKED = {(3, 6): 32}
#: Instructions of the tensor cores, in PTX.
PRODUCTS = re.compile(r"\b(?:mma\.sync|wgmma\.mma_async|tcgen05\.mma)\.[\w.:]+")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class AbsentGPU:
    """Driver of a GPU that is not there: good for compiling, not for launching."""

    def __init__(self, arch):
        self._arch = arch

    def get_current_target(self):
        return GPUTarget("cuda", self._arch, 32)

    def get_current_device(self):
        return self._arch

    def get_current_stream(self, device):
        return 0


@contextlib.contextmanager
def compiling_for(arch):
    """Launches only compile; yields the list of compiled kernels."""
    kernels = []
    launch = JITFunction.run

    def compile_only(self, *args, grid, warmup, **kwargs):
        kernels.append(launch(self, *args, grid=grid, warmup=True, **kwargs))

    triton.runtime.driver.set_active(AbsentGPU(arch))
    JITFunction.run = compile_only
    try:
        yield kernels
    finally:
        JITFunction.run = launch


def features(dtype, n, d, aligned):
    """(n, d) zeros whose rows may be loaded in aligned vectors, or not."""
    X = torch.zeros(n, 2 * d, dtype=dtype)[:, ::2]
    return X.contiguous() if aligned else X


def scatter_launches():
    codes = torch.zeros(8, dtype=torch.int64)
    widths = (fisher_scatter.NARROW, fisher_scatter.NARROW + 128)
    for dtype, precision, d in itertools.product(DTYPES, fisher_scatter.PRECISIONS, widths):
        for aligned in (True, False) if d == widths[0] else (True,):
            X, shift = features(dtype, 8, d, aligned), torch.zeros(d)
            for weights in (None, torch.ones(8)):
                yield fisher_scatter.fisher_scatter, (X, codes, 2, weights, shift, precision)


def challenge_launches():
    codes = torch.zeros(8, dtype=torch.int64)
    for dtype, n_classes, aligned, mixed in itertools.product(
        DTYPES, (64, 128, 129), (True, False), (True, False)
    ):
        X = features(dtype, 8, 64, aligned)
        coef, intercept = torch.zeros(n_classes, 64), torch.zeros(n_classes)
        mixing = (torch.ones(8), coef) if mixed else None
        yield self_challenging.self_challenging, (X, codes, coef, intercept, mixing)


def evidence_launches():
    for dual in (True, False):
        arguments = torch.eye(9), torch.ones(9, 2), torch.ones(2), 9, 9, EvidenceRule(), dual
        yield logme_evidence.logme_evidence, arguments


def nonfinite_launches():
    for dtype, aligned in itertools.product(DTYPES, (True, False)):
        yield first_nonfinite.first_nonfinite, (features(dtype, 8, 64, aligned),)


def pair_launches():
    rows = torch.zeros(parc_correlation.PAIR_TILE, parc_correlation.FEATURES, dtype=torch.float64)
    codes, level = torch.zeros(len(rows), dtype=torch.int64), tensor_ranks.uniform_level("cpu")
    levels = [level, tensor_ranks.refined_level(level, torch.tensor([0]), 4096)]
    for second in (0, 1):
        for used in (levels[:1], levels):
            stripes = [(0, rows, second, rows)]
            yield parc_correlation.count, (stripes, codes, used, tensor_ranks.N_CELLS)


def launches():
    """(op, arguments) of calls that launch every specialisation."""
    yield from scatter_launches()
    yield from challenge_launches()
    yield from evidence_launches()
    yield from nonfinite_launches()
    yield from pair_launches()


def name_of(kernel):
    """Kernel and specialisation in words."""
    source = kernel.src
    names = list(source.signature)
    types = [f"{name}: {kind}" for name, kind in source.signature.items() if kind[0] == "*"]
    constants = {
        names[path[0]]: value
        for path, value in source.constants.items()
        if source.signature[names[path[0]]] == "constexpr"
    }
    settings = [f"{name}={value}" for name, value in constants.items()]
    return f"{source.name}({types[0]}, {', '.join(settings)}, warps={kernel.metadata.num_warps})"


def resources(kernel):
    """Registers and bytes of stack (spills) a thread, bytes of shared memory a block, products."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", file.name]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    usage = dict(field.split(":")[:2] for field in report.split() if field.count(":") == 1)
    return {
        "registers": int(usage["REG"]),
        "stack": int(usage["STACK"]) + int(usage["LOCAL"]),
        "shared": kernel.metadata.shared,
        "products": sorted(set(PRODUCTS.findall(kernel.asm["ptx"]))),
    }


def compile_share(task):
    """Resources of the kernels of every WORKERS-th call, for an architecture."""
    arch, share = task
    torch.set_num_threads(1)
    table = {}
    for op, arguments in itertools.islice(launches(), share, None, WORKERS):
        with compiling_for(arch) as kernels:
            op(*arguments)
        for kernel in kernels:
            name = name_of(kernel)
            if name not in table:
                table[name] = resources(kernel)
    return arch, table


def compile_all():
    """Table of resources by architecture and kernel."""
    tables = {}
    for arch in SHARED_LIMITS:
        obstacle = obstacle_of(triton.__version__, divmod(arch, 10))
        if obstacle is None:
            tables[arch] = {}
        else:
            print(f"sm_{arch}: left out, {obstacle}")
    tasks = itertools.product(tables, range(WORKERS))
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        for arch, table in pool.imap_unordered(compile_share, tasks):
            tables[arch].update(table)
    return {f"sm_{arch}": dict(sorted(table.items())) for arch, table in tables.items()}


def complaints(found, expected):
    """What is wrong with the resources found, in words."""
    for arch, table in found.items():
        limit = SHARED_LIMITS[int(arch[3:])]
        for name, used in table.items():
            if used["stack"] > PARKED.get(release(triton.__version__), 0):
                yield f"{arch} {name} spills {used['stack']} bytes"
            if used["shared"] > limit:
                yield f"{arch} {name} takes {used['shared']} of {limit} bytes of shared memory"
        if expected is None:
            continue
        if arch not in expected:
            yield f"{arch} is not in the table: use --write"
            continue
        for name in table.keys() ^ expected[arch].keys():
            yield f"{arch} {name} is {'new' if name in table else 'gone'}: use --write"
        for name in table.keys() & expected[arch].keys():
            used, known = table[name], expected[arch][name]
            if used["registers"] > known["registers"] + MORE_REGISTERS:
                yield f"{arch} {name} takes {used['registers']} registers, not {known['registers']}"
            if used["shared"] > known["shared"] + MORE_SHARED:
                yield f"{arch} {name} takes {used['shared']} bytes shared, not {known['shared']}"
            if used["products"] != known["products"]:
                yield f"{arch} {name} multiplies by {used['products']}, not {known['products']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="compare with the committed table")
    action.add_argument("--write", action="store_true", help="write the table")
    args = parser.parse_args()
    if triton_runtime.is_interpreted():
        parser.error("the interpreter compiles nothing: unset TRITON_INTERPRET")

    version, tables = triton.__version__, json.loads(TABLE.read_text())
    if args.check and version not in tables:
        parser.error(f"the table knows Triton {', '.join(tables)}, not {version}: use --write")
    found = compile_all()
    wrong = sorted(complaints(found, tables[version] if args.check else None))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    for arch, table in found.items():
        most = max(used["registers"] for used in table.values())
        shared = max(used["shared"] for used in table.values())
        print(
            f"{arch}: {len(table)} kernels, at most {most} registers, {shared} bytes shared, "
            f"Triton {version}"
        )
    if wrong:
        return 1
    if args.write:
        write_table({**tables, version: found})
    return 0


def write_table(tables):
    """Write the table, a line for each kernel."""
    text = json.dumps(tables, indent=1, sort_keys=True)
    text = re.sub(r"\{\s+(\"products\"[^}]+?)\s+\}", lambda m: "{" + one_line(m[1]) + "}", text)
    TABLE.write_text(text + "\n")


def one_line(text):
    """JSON without its line breaks."""
    return re.sub(r"\s*\n\s*", " ", text).replace("[ ", "[").replace(" ]", "]")


if __name__ == "__main__":
    sys.exit(main())
