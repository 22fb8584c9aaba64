"""Compiles every CUDA source for every architecture, without a GPU, and checks what kernels take.

    python tests/gpu_resources/cuda.py --check     against the table beside this file
    python tests/gpu_resources/cuda.py --write     the table anew

Needs nvcc: that of CUDA_HOME or CUDA_PATH, else the one on PATH. Refused: warnings, spills and
stack frames, and registers or static shared memory that grew. Other releases of nvcc may allot
registers otherwise; the table says which one wrote it.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_suffix(".json")
ARCHS = (80, 90, 100)
FLAGS = ["-std=c++17", "-O3", "-Werror", "all-warnings", "-Xcompiler", "-Wall,-Wextra"]
#: What a kernel may take beyond its entry in the table.
MORE_REGISTERS, MORE_SHARED = 8, 1024

ENTRY = re.compile(r"Compiling entry function '(\S+)' for 'sm_\d+'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def find_nvcc():
    """Path of nvcc, or None."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            return shutil.which("nvcc", path=str(Path(os.environ[variable], "bin")))
    return shutil.which("nvcc")


def demangled(names):
    """C++ names as they are written, without the arguments."""
    command = ["c++filt", "--no-params"]
    text = subprocess.run(command, input="\n".join(names), capture_output=True, text=True)
    plain = text.stdout.replace("(anonymous namespace)::", "").splitlines()
    return dict(zip(names, plain, strict=True))


def resources(report):
    """Registers, bytes of stack and of static shared memory of every kernel in ptxas' report."""
    table, name = {}, None
    for line in report.splitlines():
        if match := ENTRY.search(line):
            name = match[1]
        elif name and (match := STACK.search(line)):
            table[name] = {"registers": 0, "stack": sum(map(int, match.groups())), "shared": 0}
        elif name in table and (match := USED.search(line)):
            shared = SHARED.search(line)
            table[name]["registers"] = int(match[1])
            table[name]["shared"] = int(shared[1]) if shared else 0
            name = None
    names = demangled(list(table))
    return {names[name]: used for name, used in table.items()}


def compile_source(nvcc, source, arch):
    """Resources of a source's kernels; raises with nvcc's words where it does not compile."""
    with tempfile.TemporaryDirectory() as folder:
        command = [nvcc, *FLAGS, f"-I{ROOT / 'csrc'}", "-Xptxas", "-v"]
        command += [f"-gencode=arch=compute_{arch},code=sm_{arch}"]
        command += ["-c", str(source), "-o", str(Path(folder, "object.o"))]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{source.name} for sm_{arch} does not compile\n{done.stderr}")
    return resources(done.stderr)


def compile_all(nvcc):
    """Table of resources by architecture, source and kernel."""
    sources = sorted(Path(ROOT, "csrc").glob("*/*.cu"))
    tasks = list(itertools.product(ARCHS, sources))
    table = {f"sm_{arch}": {} for arch in ARCHS}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda task: compile_source(nvcc, task[1], task[0]), tasks)
        for (arch, source), kernels in zip(tasks, found, strict=True):
            for name, used in sorted(kernels.items()):
                table[f"sm_{arch}"][f"{source.name} {name}"] = used
    return table


def complaints(found, expected):
    """What is wrong with the resources found, in words."""
    for arch, table in found.items():
        for name, used in table.items():
            if used["stack"]:
                yield f"{arch} {name} spills or keeps a stack: {used['stack']} bytes"
        if expected is None:
            continue
        for name in table.keys() ^ expected[arch].keys():
            yield f"{arch} {name} is {'new' if name in table else 'gone'}: use --write"
        for name in table.keys() & expected[arch].keys():
            used, known = table[name], expected[arch][name]
            if used["registers"] > known["registers"] + MORE_REGISTERS:
                yield f"{arch} {name} takes {used['registers']} registers, not {known['registers']}"
            if used["shared"] > known["shared"] + MORE_SHARED:
                yield f"{arch} {name} takes {used['shared']} bytes shared, not {known['shared']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="compare with the committed table")
    action.add_argument("--write", action="store_true", help="write the table")
    args = parser.parse_args()
    nvcc = find_nvcc()
    if nvcc is None:
        parser.error("nvcc is neither in CUDA_HOME or CUDA_PATH nor on PATH: nothing was compiled")

    release = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    release = re.search(r"release ([\d.]+)", release)[1]
    table = json.loads(TABLE.read_text()) if args.check else {"nvcc": release, "kernels": None}
    found = compile_all(nvcc)
    wrong = sorted(complaints(found, table["kernels"]))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    for arch, kernels in found.items():
        most = max(used["registers"] for used in kernels.values())
        print(f"{arch}: {len(kernels)} kernels, at most {most} registers, nvcc {release}")
    if wrong:
        if table["nvcc"] != release:
            print(f"the table was written with nvcc {table['nvcc']}")
        return 1
    if args.write:
        table = {"nvcc": release, "kernels": found}
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
