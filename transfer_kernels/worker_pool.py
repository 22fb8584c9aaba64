"""All models of a zoo through their metrics, here or in several worker processes.

A worker that dies (out of memory, a crash in compiled code) costs the model it was at and no other.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait

from .kernels.threads import thread_count
from .scoring import Outcome, Target, Task, failure, score_model

_THREAD_VARIABLES = (
    "TRANSFER_KERNELS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


def score_all(
    tasks: Sequence[Task], target: Target, n_jobs: int = 1
) -> Generator[Outcome, None, None]:
    """Yield the outcome of every metric of every task, in the order in which they finish."""
    if n_jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield from score_model(task, target)
    else:
        with WorkerPool(min(n_jobs, len(tasks)), target) as pool:
            yield from pool.run(tasks)


class WorkerPool:
    """As many workers as jobs, with the processor's threads shared out among them."""

    def __init__(self, n_workers: int, target: Target) -> None:
        self._target = target
        self._n_threads = max(1, thread_count() // n_workers)
        self._workers = [_Worker(target, self._n_threads) for _ in range(n_workers)]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    def run(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        waiting = deque(tasks)
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

    def _feed(self, worker: _Worker, waiting: deque[Task]) -> Iterator[Outcome]:
        """Give the worker the next task that can be sent to it, if there is one."""
        while waiting and worker.is_idle:
            task = waiting.popleft()
            try:
                worker.give(task)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                unsent = _unsendable(error)
                yield from (failure(task.model, metric, unsent) for metric in task.metrics)
            except OSError:  # it died meanwhile; its closed pipe will tell so
                waiting.appendleft(task)
                worker.is_idle = False

    def _bury(self, dead: _Worker, replace: bool) -> Iterator[Outcome]:
        """Report what a dead worker was at and start another in its place."""
        dead.stop()
        self._workers.remove(dead)
        if not dead.has_started:
            raise RuntimeError(
                "n_jobs: a worker process could not start; a script that uses n_jobs > 1 must run "
                'its code under `if __name__ == "__main__":`'
            )
        code = dead.process.exitcode or 0
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
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


class _Worker:
    """A process, the pipe to it, and the task it is at."""

    def __init__(self, target: Target, n_threads: int) -> None:
        # Never forked: a copy of a process with running threads may hang.
        context = multiprocessing.get_context("spawn")
        self.pipe, remote = context.Pipe()
        self.process = context.Process(target=_serve, args=(remote, target, n_threads), daemon=True)
        with _interrupts_held():
            self.process.start()
        remote.close()
        self.task: Task | None = None
        self.unfinished: list[str] = []
        self.has_started = self.is_idle = False

    def give(self, task: Task) -> None:
        self.pipe.send(task)
        self.task, self.unfinished, self.is_idle = task, list(task.metrics), False

    def failures(self, error: BaseException) -> Iterator[Outcome]:
        if self.task:
            for metric in self.unfinished:
                yield failure(self.task.model, metric, error)
            self.unfinished = []

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def _unsendable(error: BaseException) -> TypeError:
    return TypeError(
        f"cannot be sent to a worker process ({error}); give a path, or a function at the top "
        "level of a module, or use n_jobs=1"
    )


def _serve(pipe: Connection, target: Target, n_threads: int) -> None:
    """Score the tasks that come through the pipe until it closes; None says: ready for one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(n_threads)))
    warnings.showwarning = lambda message, *_: pipe.send(message)
    try:
        while True:
            pipe.send(None)
            try:
                task = pipe.recv()
            except (AttributeError, ImportError, pickle.UnpicklingError) as error:
                pipe.send(_unsendable(error))
                continue
            for outcome in score_model(task, target):
                pipe.send(outcome)
    except (EOFError, BrokenPipeError):
        pass
