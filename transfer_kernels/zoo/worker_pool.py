"""All models of a zoo through their metrics, here or in several worker processes.

A worker that dies (out of memory, a crash in compiled code) costs the model it was at and no other.
There are at most as many workers as processors, and each gets its share of the threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from ..kernels.threads import at_most_processors, thread_count
from ..text.quoting import plain
from .scoring import Job, Outcome, Target, failure, score_model

#: What the kernels and the linear algebra libraries under NumPy and SciPy go by.
_THREAD_VARIABLES = (
    "TRANSFER_KERNELS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

#: Seconds that a process whose pipe is closed has to end by itself.
_LAST_BREATH = 5.0

#: Processes start one at a time: what they inherit is set for the moment of the start.
_starting = threading.Lock()


def score_all(
    jobs: Sequence[Job], target: Target, n_jobs: int = 1
) -> Generator[Outcome, None, None]:
    """Yield the outcome of every metric of every job, in the order in which they finish."""
    n_workers = _worker_count(n_jobs, len(jobs))
    if n_workers < 2:
        for job in jobs:
            yield from score_model(job, target)
    else:
        with WorkerPool(n_workers, target) as pool:
            yield from pool.run(jobs)


def _worker_count(n_jobs: int, n_tasks: int) -> int:
    """Worker processes for so many jobs; 1 stands for none, everything in this process."""
    if min(n_jobs, n_tasks) < 2:
        return 1
    this = multiprocessing.current_process()
    if getattr(this, "_inheriting", False):
        raise RuntimeError(f"n_jobs={n_jobs}: {_NO_MAIN_GUARD}")
    if this.daemon:
        warnings.warn(
            f"n_jobs={n_jobs}: this is a daemonic process, such as a worker of "
            "multiprocessing.Pool, which may start no processes; all models are scored in it, one "
            "after the other",
            RuntimeWarning,
            stacklevel=2,
        )
        return 1
    # Two are never too many: that a crash costs one model is worth a second process.
    return at_most_processors(min(n_jobs, n_tasks), "n_jobs", str(n_jobs), least=2)


_NO_MAIN_GUARD = (
    "workers are started while this process is itself still being started by another that reads "
    'the same script; put what the script does under `if __name__ == "__main__":`'
)


class WorkerPool:
    """Several workers, with the processor's threads shared out among them."""

    def __init__(self, n_workers: int, target: Target) -> None:
        self._target = target
        self._n_threads = max(1, thread_count() // n_workers)
        self._workers: list[_Worker] = []
        try:
            for _ in range(n_workers):
                self._workers.append(_Worker(target, self._n_threads))
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        for worker in self._workers:
            worker.stop()

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        waiting = deque(jobs)
        while busy := [worker for worker in self._workers if not worker.is_idle]:
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from self._bury(worker, replace=bool(waiting))
                    continue
                if isinstance(message, Outcome):
                    worker.unfinished.remove(message.metric)
                    yield message
                elif isinstance(message, Warning):
                    warnings.warn(message, stacklevel=2)
                elif isinstance(message, Exception):
                    yield from worker.failures(message)
                else:
                    worker.has_started = worker.is_idle = True
                    yield from self._feed(worker, waiting)

    def _feed(self, worker: _Worker, waiting: deque[Job]) -> Iterator[Outcome]:
        """Give the worker the next job that can be sent to it, if there is one."""
        while waiting and worker.is_idle:
            job = waiting.popleft()
            try:
                worker.give(job)
            except OSError:  # it died meanwhile; its closed pipe will tell so
                waiting.appendleft(job)
                worker.is_idle = False
            except Exception as error:  # pickling runs code of the object, which may raise anything
                unsent = _unsendable(error)
                yield from (failure(job.model, call.spec, unsent) for call in job.metrics)

    def _bury(self, dead: _Worker, replace: bool) -> Iterator[Outcome]:
        """Report what a dead worker was at and start another in its place."""
        dead.process.join(_LAST_BREATH)  # or its end would be taken for ours
        dead.stop()
        self._workers.remove(dead)
        code = dead.process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if not dead.has_started and code < 0:
            raise RuntimeError(
                f"n_jobs: a worker process died {how} before it could start its work; it may have "
                "run out of memory. Use fewer, or n_jobs=1"
            )
        if not dead.has_started:
            raise RuntimeError(
                f"n_jobs: a worker process ended {how} before it could start its work; what it "
                "wrote to stderr tells why. A worker reads the main script anew: what the script "
                'does must stand under `if __name__ == "__main__":`. Or use n_jobs=1'
            )
        yield from dead.failures(
            RuntimeError(f"the worker process died {how}; it may have run out of memory")
        )
        if replace:
            self._workers.append(_Worker(self._target, self._n_threads))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold interrupts back; a process started meanwhile never sees them: the parent decides."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started with the first worker, it would let interrupts through again before that one starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Environment variables set for the processes that are started meanwhile.

    A library such as OpenBLAS reads its number of threads while it is loaded, which is before any
    code of ours runs in a new process.
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _main_script_readable() -> Iterator[None]:
    """Let no new process look for a main script that is no file, such as standard input."""
    main: Any = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) is not None or os.path.isfile(path):
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = path


class _Worker:
    """A process, the pipe to it, and the job it is at."""

    def __init__(self, target: Target, n_threads: int) -> None:
        # Never forked: a copy of a process with running threads may hang.
        context = multiprocessing.get_context("spawn")
        self.pipe, remote = context.Pipe()
        self.process = context.Process(target=_serve, args=(remote, target), daemon=True)
        threads = dict.fromkeys(_THREAD_VARIABLES, str(n_threads))
        with _starting, _interrupts_held(), _environment(**threads), _main_script_readable():
            self.process.start()
        remote.close()
        self.job: Job | None = None
        self.unfinished: list[str] = []
        self.has_started = self.is_idle = False

    def give(self, job: Job) -> None:
        self.pipe.send(job)
        self.job, self.is_idle = job, False
        self.unfinished = [call.spec for call in job.metrics]

    def failures(self, error: BaseException) -> Iterator[Outcome]:
        if self.job:
            for metric in self.unfinished:
                yield failure(self.job.model, metric, error)
            self.unfinished = []

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def _unsendable(error: BaseException) -> TypeError:
    why = plain(str(error))
    return TypeError(
        f"cannot be sent to a worker process ({why}); give a path, or a function at the top level "
        "of a module, or use n_jobs=1"
    )


def _serve(pipe: Connection, target: Target) -> None:
    """Score the jobs that come through the pipe until it closes; None says: ready for one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    warnings.showwarning = lambda message, *_: pipe.send(message)
    try:
        while True:
            pipe.send(None)
            try:
                job = pipe.recv()
            except (EOFError, OSError):
                raise
            except Exception as error:
                pipe.send(_unsendable(error))
                continue
            for outcome in score_model(job, target):
                pipe.send(outcome)
    except (EOFError, BrokenPipeError):
        pass
