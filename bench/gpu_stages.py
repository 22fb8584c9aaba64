"""First contact with a GPU, stage by stage, each within ten minutes: `bench/on_gpu.sh STAGE ...`.

    build     the package, compiled for the GPU, into build/on_gpu; what is there
    truth     the CUDA kernels and PyTorch's versions against the definitions
    metrics   the metrics through the backends, beside the CPU's values
    bench     gpu.json: time, floor and plain PyTorch of every op and metric
    rivals    library calls for the same work
    triton    the Triton kernels against the definitions
    sanitize  the CUDA kernels under compute-sanitizer

Results go to build/on_gpu/results, and with --out into a second folder: STAGE.log, all that was
said; STAGE.json, how each step ended; rows of single tests and measurements. What fails is recorded
and the next runs. A stage that was cut off goes on where it was when it is started again, as long
as no source has changed; --again forgets what it has. Nothing is fetched from anywhere.

With --dry-run everything runs as far as it goes without a GPU: the kernels on the host, a few tests
of each kind, measurements of small sizes that mean nothing, no sanitizer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.rows import AGAIN, Rows

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "on_gpu"
#: Seconds that a stage may take, so that a command of ten minutes holds it and the copies.
STAGE_SECONDS = 540
#: Seconds that a step is not begun without, and that it gets to end when told to.
LEAST_SECONDS, GRACE_SECONDS = 10, 5
#: What the built package is made of, and what else results depend on.
BUILT_OF = ("csrc", "kernels", "transfer_kernels", "setup.py", "build_support")
RESULTS_OF = (*BUILT_OF, "tests", "bench")
#: Variables that let kernels run on the host: a dry run sets them all, another none.
ON_HOST = (
    "TRITON_INTERPRET",
    "TRANSFER_KERNELS_CUDA_ON_HOST",
    "TRANSFER_KERNELS_TORCH_ON_HOST",
)
#: Outcomes of a step; those that are not final are taken up again.
FINAL, CUT_OFF, NOT_RUN = ("passed", "failed"), "cut off", "not run: the stage's time was up"
#: pytest's exit status where every test has its row already.
NO_TESTS_LEFT = 5
FOUND_BY_SANITIZER = re.compile(r"=+ +(Invalid|Error|Race|Warning: Race|Barrier|Program hit)")

FACTS = """
import importlib.metadata, os, shutil, subprocess, sys, sysconfig
print(sys.version)
headers = os.path.join(sysconfig.get_path("include"), "Python.h")
print(headers, "is there" if os.path.exists(headers) else "IS MISSING")
for name in ("torch triton numpy scipy numba llvmlite tqdm pybind11 setuptools pip pytest mpmath "
             "hypothesis scikit-learn gensim").split():
    try:
        print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        print(name, "is missing")
for command in ("nvidia-smi", "nvcc --version", "g++ --version"):
    if shutil.which(command.split()[0]):
        subprocess.run(command.split())
    else:
        print(command, "is not here")
"""


INFO = """
import sys
from pathlib import Path
import transfer_kernels as tk
tk.show_backends()
if not Path(tk.__file__).is_relative_to(sys.argv[1]):
    sys.exit(f"{tk.__file__} is not what was built")
"""


REACHED = """
import sys
from transfer_kernels.ops.backends import forced_backend
for name in sys.argv[1:]:
    print(forced_backend(name))
"""


@dataclass(frozen=True)
class Step:
    """A command of a stage.

    Parameters
    ----------
    name : str
    command : tuple of str
        Run in the folder of the built package, with the checkout behind it on the path.
    seconds : int
        Most that it may take.
    variables : dict
        More of the environment.
    rows : str, optional
        File of results that receives the command's rows.
    essential : bool
        Whether the stage ends where it fails.
    sanitized : bool
        Whether compute-sanitizer's words decide too.
    """

    name: str
    command: tuple[str, ...]
    seconds: int
    variables: dict[str, str] = field(default_factory=dict)
    rows: str | None = None
    essential: bool = False
    sanitized: bool = False


def python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


def tests(name: str, seconds: int, files: tuple[str, ...], chosen: str) -> Step:
    """A step that runs tests, a row for each."""
    command = python("-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "-p")
    command += ("bench.pytest_rows", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"))
    command += ("-k", chosen) if chosen else ()
    for file in files:
        command += tuple(map(str, (ROOT / "tests").rglob(f"test_{file}.py")))
    return Step(name, command, seconds, rows=f"{name}.jsonl")


def reached(*backends: str) -> Step:
    """A step that fails where a backend is missing: its tests would only skip."""
    return Step("reached", python("-c", REACHED, *backends), 40)


def measurements(name: str, module: str, rows: Path, *options: str) -> Step:
    """A step that runs one of the GPU benchmarks."""
    command = python("-m", f"bench.{module}", "--rows", str(rows), *options)
    return Step(name, command, 530, rows=rows.name)


def stages(dry: bool, work: Path) -> dict[str, list[Step]]:
    """The steps of every stage; those of a dry run are a part of them."""
    results, package = work / "results", work / "package"
    install = "-m pip install -q --no-deps --no-index --no-build-isolation --target".split()
    build = {"TRANSFER_KERNELS_DEV": "1", "TRANSFER_KERNELS_REQUIRE_NATIVE": "1"}
    build["TRANSFER_KERNELS_NO_CUDA" if dry else "TRANSFER_KERNELS_REQUIRE_CUDA"] = "1"
    quick = ("--quick",) if dry else ()
    # Names of tests on the host hold "cpu"; dry runs take some of those instead.
    on_gpu = "atomics or halves or target_moments" if dry else "not cpu"
    on_cpu = "sfda and tall" if dry else ""
    return {
        "build": [
            Step("facts", python("-c", FACTS), 60),
            Step("install", python(*install, str(package), str(ROOT)), 400, build, essential=True),
            Step("info", python("-c", INFO, str(package)), 60),
        ],
        "truth": [reached("cuda"), tests("truth", 490, (*CUDA_TESTS, "torch_gpu"), on_gpu)],
        "metrics": [
            reached("cuda", "torch"),
            tests("metrics", 490, ("gpu_metrics", "torch_ops"), on_cpu or "not triton"),
        ],
        "bench": [
            measurements(
                "bench", "gpu", results / "bench.jsonl", *quick, "--out", str(results / "gpu.json")
            )
        ],
        "rivals": [measurements("rivals", "gpu_rivals", results / "rivals.jsonl", *quick)],
        "triton": [
            reached("triton"),
            tests("triton", 380, ("triton",), "halves or thin" if dry else ""),
            tests("triton_metrics", 110, ("gpu_metrics",), "triton and " + (on_cpu or "tall")),
        ],
        "sanitize": [sanitized(tool, dry) for tool in ("memcheck", "racecheck", "synccheck")],
    }


CUDA_TESTS = ("cuda_on_host", "cuda_self_challenging", "cuda_logme", "cuda_parc")
#: Tests that are run under the sanitizer: it makes everything some fifty times slower.
SANITIZED = (
    "not cpu and (product or atomics or shapes or types or blocks or equals or many or long "
    "or counts or chunks)"
)


def sanitized(tool: str, dry: bool) -> Step:
    """Tests of the CUDA kernels under a tool of compute-sanitizer; in dry runs without the tool."""
    step = tests(tool, 175, CUDA_TESTS, "atomics" if dry else SANITIZED)
    command = step.command if dry else (*sanitizer(tool), *step.command)
    # PyTorch's allocator hands out parts of large segments: no overrun would show within them.
    variables = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    return Step(step.name, command, step.seconds, variables, step.rows, sanitized=True)


def sanitizer(tool: str) -> tuple[str, ...]:
    """compute-sanitizer for the package's own kernels, by the option that this release has."""
    found = shutil.which("compute-sanitizer")
    if found is None:
        return ("compute-sanitizer", "--tool", tool)  # fails as a step and says so
    told = subprocess.run([found, "--help"], capture_output=True, text=True).stdout
    command = (found, "--tool", tool, "--error-exitcode", "1", "--print-limit", "5")
    # Names of the kernels hold their namespace, tk, with its length.
    if "--kernel-name" in told:
        return (*command, "--kernel-name", "kernel_substring=2tk")
    return (*command, "--kernel-regex", "kns=2tk") if "--kernel-regex" in told else command


def digest_of(sources: tuple[str, ...]) -> str:
    """Digest of the sources in these folders."""
    digest = hashlib.sha256()
    for source in sources:
        top = ROOT / source
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and path.suffix in {".py", ".cpp", ".h", ".cu", ".cuh", ".json"}:
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def made_of(stage: str) -> str:
    """Digest of what a stage's results depend on."""
    return digest_of(BUILT_OF if stage == "build" else RESULTS_OF)


class Stage:
    """One stage's record, log and deadline.

    Parameters
    ----------
    name : str
    dry : bool
    work : Path
        Holds the built package and the results.
    out : Path, optional
        Gets copies of the results.
    """

    def __init__(self, name: str, dry: bool, work: Path, out: Path | None):
        self.name, self._dry, self._out = name, dry, out
        self._steps = stages(dry, work)[name]
        self._package, self._results = work / "package", work / "results"
        self._results.mkdir(parents=True, exist_ok=True)
        self._deadline = time.monotonic() + STAGE_SECONDS

    @property
    def log(self) -> Path:
        return self._results / f"{self.name}.log"

    def forget(self) -> None:
        """Remove what earlier runs left."""
        rows = [step.rows for step in self._steps if step.rows]
        for name in [f"{self.name}.json", f"{self.name}.log", *rows]:
            (self._results / name).unlink(missing_ok=True)
        if self.name == "build":
            shutil.rmtree(self._package, ignore_errors=True)

    def run(self) -> bool:
        """Run the steps that have no outcome; whether all have passed."""
        ended = self._record(self.name)
        if ended is None:
            self.forget()
            ended = {}
        built = self._record("build") or {}
        if self.name != "build" and built.get("install", {}).get("outcome") != "passed":
            self._say("the package is not built of these sources: run the stage build first")
            return False
        for step in self._steps:
            if ended.get(step.name, {}).get("outcome") in FINAL:
                self._say(f"{step.name} {ended[step.name]['outcome']} before")
                continue
            ended[step.name] = self._run_step(step)
            self._keep(ended)
            if step.essential and ended[step.name]["outcome"] != "passed":
                break
        return all(ended.get(step.name, {}).get("outcome") == "passed" for step in self._steps)

    def _record(self, stage: str) -> dict | None:
        """How a stage's steps ended; None where it has not run on these sources."""
        path = self._results / f"{stage}.json"
        record = json.loads(path.read_text()) if path.exists() else {}
        return record["steps"] if record.get("made of") == made_of(stage) else None

    def _run_step(self, step: Step) -> dict:
        start = time.monotonic()
        self._say(f"{step.name}: {' '.join(step.command).partition(' -c ')[0]}")
        outcome, status, lines = NOT_RUN, None, -1
        while (left := self._left(step, start)) > LEAST_SECONDS:
            outcome, status = self._call(step, left)
            before, lines = lines, self._line_count(step)
            if status != AGAIN or lines == before:
                break
            self._say(f"{step.name}: again, in a new process")
        found = {"outcome": outcome, "status": status, "seconds": round(time.monotonic() - start)}
        if step.rows:
            found |= self._told_by_rows(step, found)
        if step.sanitized and (said := self._sanitizer_words()):
            found |= {"outcome": "failed", "sanitizer": said}
        self._say(f"{step.name}: {found['outcome']}, {found['seconds']} s {found.get('rows', '')}")
        return found

    def _told_by_rows(self, step: Step, found: dict) -> dict:
        """The rows by their outcome, those that are wrong, and the outcome where they decide it."""
        rows = list(Rows(self._results / step.rows).latest.values())
        wrong = [row for row in rows if row["outcome"] not in {"passed", "skipped", "measured"}]
        kinds = sorted({row["outcome"] for row in rows})
        told = {"rows": {kind: sum(row["outcome"] == kind for row in rows) for kind in kinds}}
        if found["status"] == NO_TESTS_LEFT and rows:
            told["outcome"] = "failed" if wrong else "passed"
        return {**told, "wrong": wrong}

    def _sanitizer_words(self) -> list[str]:
        """What compute-sanitizer found, as far as the log tells; it tells as it finds."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if FOUND_BY_SANITIZER.match(line)][:20]

    def _line_count(self, step: Step) -> int:
        path = self._results / (step.rows or "")
        return len(path.read_text().splitlines()) if path.is_file() else 0

    def _left(self, step: Step, start: float) -> float:
        now = time.monotonic()
        return min(step.seconds - (now - start), self._deadline - now - 2 * GRACE_SECONDS)

    def _call(self, step: Step, seconds: float) -> tuple[str, int | None]:
        """Outcome and exit status of the command."""
        built = (self._package / "transfer_kernels").exists()
        with self.log.open("a") as log:
            try:
                process = subprocess.Popen(
                    step.command, cwd=self._package if built else self._results, stdout=log,
                    stderr=log, env=self._environment(step), start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                self._say(f"{step.name}: {error}")
                return "failed", None
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                end_session(process)
                return CUT_OFF, None
        return ("passed" if status == 0 else "failed"), status

    def _environment(self, step: Step) -> dict[str, str]:
        variables = {name: value for name, value in os.environ.items() if name not in ON_HOST}
        variables["PYTHONPATH"] = os.pathsep.join([str(self._package), str(ROOT)])
        variables["PYTHONUNBUFFERED"] = "1"
        if step.rows:
            variables["GPU_ROWS"] = str(self._results / step.rows)
        if self._dry:
            variables |= dict.fromkeys(ON_HOST, "1")
        return variables | step.variables

    def _say(self, what: str) -> None:
        line = f"=== {time.strftime('%H:%M:%S')} {self.name} / {what}"
        print(line, flush=True)
        with self.log.open("a") as log:
            log.write(line + "\n")

    def _keep(self, ended: dict) -> None:
        """Write how the steps ended, and copy what there is to the folder that was asked for."""
        record = {"stage": self.name, "made of": made_of(self.name), "steps": ended}
        path = self._results / f"{self.name}.json"
        path.write_text(json.dumps(record, indent=1) + "\n")
        if self._out is not None:
            self._out.mkdir(parents=True, exist_ok=True)
            made = [path, self.log]
            made += [self._results / step.rows for step in self._steps if step.rows]
            made += [self._results / "gpu.json"] if self.name == "bench" else []
            for path in made:
                if path.exists():
                    shutil.copyfile(path, self._out / path.name)


def end_session(process: subprocess.Popen) -> None:
    """End a command and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE_SECONDS)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def tail(path: Path, lines: int = 25) -> list[str]:
    """The last lines of a log."""
    return path.read_text(errors="replace").splitlines()[-lines:]


def main() -> None:
    names = list(stages(True, WORK))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", nargs="+", choices=[*names, "all"], help="which to run, in order")
    parser.add_argument("--out", type=Path, help="folder to copy the results to")
    parser.add_argument("--again", action="store_true", help="forget what earlier runs found")
    parser.add_argument("--dry-run", action="store_true", help="without a GPU, as far as it goes")
    options = parser.parse_args()

    work = WORK / "dry" if options.dry_run else WORK
    out = options.out.resolve() if options.out else None
    failed = []
    for name in names if "all" in options.stage else options.stage:
        stage = Stage(name, options.dry_run, work, out)
        if options.again:
            stage.forget()
        if stage.run():
            continue
        failed.append(name)
        print(*tail(stage.log), sep="\n")
        if name == "build":
            break
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
