"""The number of threads and worker processes: from the environment, never above the processors."""

import functools
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import in_subprocess

from transfer_kernels.kernels import processors, threads
from transfer_kernels.zoo.ranking import rank
from transfer_kernels.zoo.worker_pool import _worker_count

TK, OMP = threads.VARIABLES


@pytest.fixture(autouse=True)
def four_processors(monkeypatch):
    for variable in threads.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(threads, "processor_count", lambda: 4)
    monkeypatch.setattr(threads, "most_threads", lambda: 4)
    monkeypatch.setattr(threads, "_warned", set())


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("1", 1),
        (" 3 ", 3),
        ("+2", 2),
        ("2.0", 2),
        ("003", 3),
        ("2,1", 2),
        (" 2 , 1", 2),
        ("", 4),
        ("  ", 4),
        (",", 4),
        ("0", 4),
        ("0.0", 4),
        ("-0", 4),
        ("auto", 4),
        ("AUTO", 4),
    ],
)
@pytest.mark.parametrize("variable", threads.VARIABLES)
def test_what_other_programs_take(monkeypatch, variable, value, count):
    monkeypatch.setenv(variable, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert threads.thread_count() == count


@pytest.mark.parametrize(
    "value", ["5", "999999", "1" + "0" * 50, "00000000005", pytest.param("9" * 5000, id="long")]
)
def test_never_more_threads_than_processors(monkeypatch, value):
    monkeypatch.setenv(OMP, value)
    with pytest.warns(RuntimeWarning, match="OMP_NUM_THREADS=.* 4 processors") as caught:
        assert [threads.thread_count() for _ in range(3)] == [4, 4, 4]
    assert len(caught) == 1
    assert len(str(caught[0].message)) < 200


@pytest.mark.parametrize("value", ["many", "-3", "1e3", "2.5", "0x4", "٣", "\x1b[2J", "nan"])
def test_nonsense_gives_one_warning_and_the_default(monkeypatch, value):
    monkeypatch.setenv(TK, value)
    with pytest.warns(RuntimeWarning, match="is no number of threads") as caught:
        assert [threads.thread_count() for _ in range(3)] == [4, 4, 4]
    assert len(caught) == 1
    assert "\x1b" not in str(caught[0].message)


def test_the_own_variable_comes_first_and_nonsense_in_it_counts_as_absent(monkeypatch):
    monkeypatch.setenv(OMP, "2")
    monkeypatch.setenv(TK, "3")
    assert threads.thread_count() == 3
    monkeypatch.setenv(TK, "")
    assert threads.thread_count() == 2
    monkeypatch.setenv(TK, "auto")
    assert threads.thread_count() == 4
    monkeypatch.setenv(TK, "some")
    with pytest.warns(RuntimeWarning, match=TK):
        assert threads.thread_count() == 2


def test_a_slip_starts_no_flood_of_threads():
    code = (
        "import numpy as np, transfer_kernels as tk\n"
        "X, y = np.random.default_rng(0).normal(size=(400, 40)), np.arange(400) % 4\n"
        "tk.sfda(X, y, backend='native')\n"
        "from transfer_kernels.kernels.native_runtime import runtime_arguments\n"
        "print(runtime_arguments()['n_threads'])"
    )
    pytest.importorskip("transfer_kernels._native")
    done = in_subprocess(code, OMP_NUM_THREADS="999999", TRANSFER_KERNELS_NUM_THREADS="")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= (os.cpu_count() or 1)
    assert done.stderr.count("OMP_NUM_THREADS=999999 is more than the") == 1


# ---------------------------------------------------------------------------- processors


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Write made-up control groups: what the process belongs to, and files by path."""

    def write(membership, files):
        monkeypatch.setattr(processors, "CGROUPS", tmp_path / "groups")
        monkeypatch.setattr(processors, "MEMBERSHIP", tmp_path / "membership")
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        processors.cpu_quota.cache_clear()

    yield write
    processors.cpu_quota.cache_clear()


V1 = "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n"


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"}, 2.0),
        ("0::/a/b\n", {"a/b/cpu.max": "300000 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/of/the/host\n", {"cpu.max": "100000 100000\n"}, 1.0),
        ("0::/../../x\n", {"cpu.max": "100000 100000\n"}, 1.0),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "nonsense\n"}, None),
        ("0::/\n", {"cpu.max": "100000 0\n"}, None),
        ("0::/\n", {}, None),
        ("nonsense", {"cpu.max": "100000 100000\n"}, None),
        (
            V1,
            {"cpu,cpuacct/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            2.5,
        ),
        (
            V1,
            {
                "cpu/docker/abc/cpu.cfs_quota_us": "100000\n",
                "cpu/docker/abc/cpu.cfs_period_us": "100000",
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000",
            },
            1.0,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_quota_of_a_container(groups, membership, files, quota):
    groups(membership, files)
    assert processors.cpu_quota() == quota


def test_processors_are_those_of_affinity_and_quota(groups, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for text, count in (("150000 100000", 2), ("10000 100000", 1), ("9900000 100000", 8)):
        groups("0::/\n", {"cpu.max": text})
        assert processors.processor_count() == count


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_pinned_process_has_one_thread():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from transfer_kernels.kernels.threads import thread_count; print(thread_count())"
    )
    unset = {name: "" for name in threads.VARIABLES}
    assert in_subprocess(code, **unset).stdout == "1\n"


# ---------------------------------------------------------------------------- workers


def test_no_more_workers_than_processors():
    assert _worker_count(3, 10) == 3
    assert _worker_count(10_000, 3) == 3  # no more than there are models: nothing to warn of
    with pytest.warns(RuntimeWarning, match="n_jobs=10000 is more than the 4 processors"):
        assert _worker_count(10_000, 20_000) == 4


def test_two_workers_are_never_too_many(monkeypatch):
    monkeypatch.setattr(threads, "most_threads", lambda: 1)
    assert _worker_count(2, 10) == 2
    with pytest.warns(RuntimeWarning, match="the 1 processor that .*; 2 are used"):
        assert _worker_count(5, 10) == 2


def blas_threads(folder, name):
    """Features, and a note of how many threads the linear algebra of this process has."""
    from threadpoolctl import threadpool_info

    counts = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    (folder / f"{name}.txt").write_text(f"{max(counts)} {os.environ['OPENBLAS_NUM_THREADS']}")
    return np.eye(30)[:, :4] + np.arange(30)[:, None] % 3


def test_the_linear_algebra_of_workers_gets_their_share_of_the_threads(tmp_path, monkeypatch):
    pytest.importorskip("threadpoolctl")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    zoo = {name: functools.partial(blas_threads, tmp_path, name) for name in "ab"}
    assert not rank(zoo, np.arange(30) % 3, "logme", n_jobs=2, backend="reference").errors
    for name in "ab":
        counted, told = map(int, (tmp_path / f"{name}.txt").read_text().split())
        assert told == 2  # half of the four processors
        assert counted <= told
    assert "OPENBLAS_NUM_THREADS" not in os.environ


WORKERS = """
import multiprocessing, os, sys, warnings
import numpy as np
import transfer_kernels as tk

def job(_):
    rng = np.random.default_rng(0)
    zoo = {name: rng.normal(size=(60, 4)) for name in "abc"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = tk.rank(zoo, np.arange(60) % 3, "logme", n_jobs=2, backend="reference")
    return len(table), dict(table.errors), [str(w.message) for w in caught]
"""


def test_in_a_daemonic_process_all_is_done_there(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        WORKERS + "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(job, [0])[0])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    length, errors, said = eval(done.stdout)
    assert (length, errors) == (3, {})
    assert len(said) == 1 and "n_jobs=2: this is a daemonic process" in said[0]


@pytest.mark.parametrize("how", ["stdin", "-c"])
def test_workers_of_a_program_that_is_no_file(how):
    code = WORKERS + "print(job(0))"
    command = [sys.executable, "-"] if how == "stdin" else [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        input=code if how == "stdin" else None,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "(3, {}, [])\n", done.stderr
    assert done.stderr == ""


def test_a_worker_that_cannot_start_is_told_apart(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        WORKERS + "if __name__ == '__mp_main__':\n    os.kill(os.getpid(), 9)\n"
        "if __name__ == '__main__':\n    job(0)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    last = done.stderr.splitlines()[-1]
    assert "died by signal 9 before it could start its work; it may have run out of memory" in last
