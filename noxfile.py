"""The checks by name: `nox -l` lists them, `nox -s lint test` runs two, `.ci/run` runs them all.

Steps run in the environment they are started from, set up by `pip install -e ".[dev]"`; those that
are about an environment (newcomer, minimal, packages, clang, sanitize) make their own.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
#: Tests of what csrc/ holds for the CPU.
CPP_TESTS = [
    *sorted(
        f"tests/ops/test_{path.parent.name}.py" for path in ROOT.glob("kernels/*/native_cpu.py")
    ),
    "tests/ops/test_same_bits.py",
]

TRITON_CHECK = "tests/gpu_resources/triton.py"
#: The oldest release that the Triton kernels are compiled and checked with.
OLDEST_TRITON = "3.6.0"

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "test"]


def readme_command(start: str) -> str:
    """The first line of README's code blocks that starts with these words."""
    lines = (ROOT / "README.md").read_text().splitlines()
    return next(line for line in lines if line.startswith(start))


def clone(session: nox.Session) -> Path:
    """A clone of what is committed, with nothing beside it."""
    target = Path(session.create_tmp()).resolve() / "alone" / "transfer_kernels"
    shutil.rmtree(target.parent, ignore_errors=True)
    session.run("git", "clone", "-q", str(ROOT), str(target), external=True)
    return target


def new_environment(session: nox.Session, name: str) -> Path:
    """Path of the Python of a new virtual environment that holds nothing but pip."""
    folder = Path(session.create_tmp()).resolve() / name
    shutil.rmtree(folder, ignore_errors=True)
    session.run(sys.executable, "-m", "venv", str(folder), external=True)
    return folder / "bin" / "python"


def run_in(python: Path, command: str, folder: Path, **variables: str) -> None:
    """Run a shell command where the environment of that Python is active."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "TRANSFER_KERNELS"))}
    kept |= {"VIRTUAL_ENV": str(python.parent.parent), **variables}
    kept["PATH"] = f"{python.parent}{os.pathsep}{variables.get('PATH', os.environ['PATH'])}"
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=kept, check=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Style of Python and C++."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    files = [
        str(path.relative_to(ROOT))
        for suffix in ("h", "cpp", "cuh", "cu")
        for path in sorted((ROOT / "csrc").rglob(f"*.{suffix}"))
    ]
    session.run("clang-format", "--dry-run", "--Werror", *files)


@nox.session
def types(session: nox.Session) -> None:
    """Static types."""
    session.run("mypy")


@nox.session
def test(session: nox.Session) -> None:
    """The tests, as README runs them."""
    session.run("pytest", *session.posargs)


@nox.session(name="test-all")
def test_all(session: nox.Session) -> None:
    """The tests and the exhaustive tier: every instruction set, every product, the long runs."""
    session.run("pytest", "--exhaustive", *session.posargs)


@nox.session(name="test-rest")
def test_rest(session: nox.Session) -> None:
    """What `test` leaves out of `test-all`: the exhaustive tier alone."""
    session.run("pytest", "--exhaustive-only", *session.posargs)


@nox.session
def poisoned(session: nox.Session) -> None:
    """The Numba kernels' tests with scratch memory poisoned, which their code cannot do itself."""
    files = ["tests/metrics/test_goldens.py", "tests/ops/test_parc_correlation.py"]
    session.run("pytest", "-q", "-k", "numba", *files, env={"MALLOC_PERTURB_": "165"})


@nox.session
def newcomer(session: nox.Session) -> None:
    """README's two commands, word for word: a lone clone, environments with nothing in them."""
    folder = clone(session)
    run_in(new_environment(session, "user"), readme_command("pip install . &&"), folder)
    run_in(new_environment(session, "developer"), readme_command("pip install -e"), folder)


@nox.session
def minimal(session: nox.Session) -> None:
    """The tests where there is no PyTorch."""
    folder, python = clone(session), new_environment(session, "minimal")
    run_in(python, 'pip install -q -e ".[test-min]" && pytest -q', folder)


@nox.session
def packages(session: nox.Session) -> None:
    """The source distribution and a repaired wheel, installed and scoring."""
    session.run("bash", "tools/check_packages.sh", external=True)


@nox.session(name="one-build")
def one_build(session: nox.Session) -> None:
    """No instruction set's objects define code that the linker may share with another's."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        session.skip("instruction sets are told apart on x86-64 only")
    for isa in ("avx2", "avx512"):
        objects = sorted(ROOT.glob(f"build/objects/release-_native-{isa}-*/csrc/*/*.o"))
        if not objects:
            session.error(f"no objects of {isa} under build/: run pip install -e . first")
        for path in objects:
            names = session.run("nm", "-C", str(path), external=True, silent=True, log=False)
            for line in names.splitlines():
                own = re.search(rf"tk::{isa}::|DW\.ref|__gxx_personality", line)
                if re.search(r" [WVu] ", line) and not own:
                    session.error(f"{path} shares code between instruction sets: {line}")
        session.log(f"{isa}: {len(objects)} objects are clean")


@nox.session
def clang(session: nox.Session) -> None:
    """The compiled kernels by Clang, and their tests."""
    compiler = os.environ.get("CLANG") or next(filter(shutil.which, ["clang", "clang-14"]), None)
    if compiler is None:
        session.skip("there is no clang here")
    built = Path(session.create_tmp()).resolve() / "clang"
    plus_plus = compiler.replace("clang", "clang++")
    build_into(session, built, CC=compiler, CXX=plus_plus)
    kernel_tests(session, built)


@nox.session
def sanitize(session: nox.Session) -> None:
    """The compiled kernels under address and undefined-behaviour sanitizers, scratch poisoned."""
    built = Path(session.create_tmp()).resolve() / "sanitized"
    build_into(session, built, TRANSFER_KERNELS_SANITIZE="address,undefined")
    libraries = [
        session.run("gcc", f"-print-file-name={name}", external=True, silent=True).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    options = "detect_leaks=0:abort_on_error=1"
    kernel_tests(session, built, LD_PRELOAD=" ".join(libraries), ASAN_OPTIONS=options)


def build_into(session: nox.Session, folder: Path, **variables: str) -> None:
    """Build the package with its CPU kernels into a folder, by these variables."""
    shutil.rmtree(folder, ignore_errors=True)
    only = {"TRANSFER_KERNELS_ONLY": "_native", "TRANSFER_KERNELS_REQUIRE_NATIVE": "1"}
    install = "pip install -q --no-deps --no-build-isolation --target".split()
    session.run(*install, str(folder), ".", env={**only, **variables})


def kernel_tests(session: nox.Session, folder: Path, **variables: str) -> None:
    """The compiled kernels' tests against the package in a folder."""
    variables["PYTHONPATH"] = str(folder)
    with session.chdir(folder):
        located = "from transfer_kernels import _native; print(_native.__file__)"
        path = session.run("python", "-c", located, env=variables, silent=True)
        if not Path(path.strip()).is_relative_to(folder):
            session.error(f"the tests would run {path.strip()}, not what is in {folder}")
        pytest = ["pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
        pytest += ["-c", str(ROOT / "pyproject.toml"), "-k", "native"]
        # Every instruction set, but not the long runs.
        pytest += ["--exhaustive", "-m", "not exhaustive"]
        session.run(*pytest, *(str(ROOT / path) for path in CPP_TESTS), env=variables)


@nox.session(name="gpu-check")
def gpu_check(session: nox.Session) -> None:
    """GPU kernels compiled ahead of time, what they take; the stages of first contact, on the host.

    Triton's are compiled by the newest release and by the oldest that is supported.
    """
    session.run("python", "tests/gpu_resources/cuda.py", "--check")
    session.run("python", TRITON_CHECK, "--check")
    oldest = Path(session.create_tmp()).resolve() / f"triton-{OLDEST_TRITON}"
    if not oldest.exists():
        fetch = "pip install -q --no-deps --target".split()
        session.run(*fetch, str(oldest), f"triton=={OLDEST_TRITON}")
    session.run("python", TRITON_CHECK, "--check", env={"PYTHONPATH": str(oldest)})
    session.run("bash", "bench/on_gpu.sh", "all", "--dry-run", "--again", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """One pass of the benchmarks without timing, and the tables made from the committed figures."""
    session.run("pytest", "-q", "bench", "--benchmark-disable")
    session.run("python", "-m", "bench.report", "--check")


@nox.session
def docs(session: nox.Session) -> None:
    """The pages of docs/, without a warning and without a reference that leads nowhere."""
    options = ["-q", "--nitpicky", "--fail-on-warning", "--keep-going", "--fresh-env"]
    session.run("python", "-m", "sphinx", *options, "docs", "docs/_build")


@nox.session
def coverage(session: nox.Session) -> None:
    """Lines of Python that all tests run, lines of the CPU kernels that their tests run."""
    session.run("pytest", "-q", "--exhaustive", "--cov", "transfer_kernels", "--cov", "kernels")
    built = Path(session.create_tmp()).resolve() / "counted"
    for old in (ROOT / "build").rglob("*.gcda"):
        old.unlink()
    flags = {"CXXFLAGS": "--coverage -fprofile-update=atomic", "LDFLAGS": "--coverage"}
    build_into(session, built, **flags)
    kernel_tests(session, built)
    # Billions of passes through an inner loop are no mistake of gcov.
    report = ["gcovr", "--root", ".", "--filter", "csrc/", "--gcov-suspicious-hits-threshold", "0"]
    session.run(*report, "--txt", "-", "build")
