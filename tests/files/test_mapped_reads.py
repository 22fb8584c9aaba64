"""A file that is cut short while it is read: an error that names it, in a process that lives on."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk
from transfer_kernels.files.feature_files import read_features
from transfer_kernels.files.mapped_reads import can_watch, intact
from transfer_kernels.zoo import scoring

watched = pytest.mark.skipif(not can_watch(), reason="the compiled module is not built")
X, y = make_problem(4000, 64, 4, seed=1)


def save(path):
    if path.suffix == ".npy":
        np.save(path, X)
    elif path.suffix == ".safetensors":
        pytest.importorskip("safetensors.numpy").save_file({"features": X}, path)
    else:
        torch = pytest.importorskip("torch")
        torch.save({"features": torch.from_numpy(X)}, path)


def cut(path, to=20_000):
    os.truncate(path, to)


@pytest.fixture
def cut_when_read(monkeypatch):
    """Cut a file after it was opened, and before a number of it was read."""

    def prepare(path):
        opened = scoring.read_outputs

        def read(source, **options):
            found = opened(source, **options)
            if source == str(path):
                cut(path)
            return found

        monkeypatch.setattr(scoring, "read_outputs", read)

    return prepare


@watched
@pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".pt"])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_a_file_that_shrinks_fails_alone(tmp_path, cut_when_read, suffix, device):
    if device:
        pytest.importorskip("torch")
    zoo = {name: tmp_path / f"{name}{suffix}" for name in "abc"}
    for path in zoo.values():
        save(path)
    cut_when_read(zoo["b"])
    journal = tmp_path / "j.journal"
    ranking = tk.rank(zoo, y, ["logme", "sfda"], journal=journal, device=device)
    assert ranking.errors == {"b": f"ValueError: {zoo['b']}: was cut short while it was read"}
    assert ranking.column("logme")["a"] == ranking.column("logme")["c"] == tk.logme(X, y)
    assert journal.read_text().count("\n") == 4 and "b.npy" not in journal.read_text()


@watched
def test_a_file_that_shrinks_between_two_metrics(tmp_path, monkeypatch):
    save(tmp_path / "a.npy")
    score = scoring._score

    def cutting(*arguments):
        outcome = score(*arguments)
        cut(tmp_path / "a.npy")
        return outcome

    monkeypatch.setattr(scoring, "_score", cutting)
    row = tk.rank({"a": tmp_path / "a.npy"}, y, ["logme", "sfda"])[0]
    assert row.scores["logme"] == tk.logme(X, y)  # it had read all
    assert np.isnan(row.scores["sfda"]) and "sfda: ValueError" in row.error
    assert "was cut short while it was read" in row.error


@watched
@pytest.mark.parametrize("jobs", [1, 2])
def test_in_processes_of_their_own(tmp_path, jobs):
    """From outside: the file is cut by another process at a time that nobody chose."""
    code = """
        import os, sys, threading
        import transfer_kernels as tk, numpy as np
        if __name__ == "__main__":
            folder, jobs = sys.argv[1], int(sys.argv[2])
            zoo = {n: f"{folder}/{n}.npy" for n in "abcd"}
            y = np.arange(4000) % 4
            def cutter():
                while not done.wait(0.0005):
                    os.truncate(zoo["b"], 20_000)
                    os.truncate(zoo["b"], 128 + 4000 * 64 * 4)
            done = threading.Event()
            thread = threading.Thread(target=cutter)
            thread.start()
            try:
                for _ in range(3):
                    ranking = tk.rank(zoo, y, "logme", n_jobs=jobs)
            finally:
                done.set()
                thread.join()
            assert set(ranking.errors) <= {"b"}, ranking.errors
            print("alive")
    """
    for name in "abcd":
        save(tmp_path / f"{name}.npy")
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    command = [sys.executable, script, tmp_path, str(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout == "alive\n", done.stderr


@watched
@pytest.mark.parametrize("options", [(), ("-X", "faulthandler")])
@pytest.mark.parametrize("when", ["another file", "afterwards"])
def test_what_is_not_watched_ends_the_process_as_before(tmp_path, options, when):
    code = """
        import os, sys
        from transfer_kernels.files.feature_files import read_features
        from transfer_kernels.files.mapped_reads import intact
        one, two = (read_features(path).features for path in sys.argv[1:3])
        with intact(one, "one"), intact(one[:5], "five"):
            if sys.argv[3] == "another file":
                os.truncate(sys.argv[2], 20_000)
                print("reading", flush=True)
                two.sum()
        os.truncate(sys.argv[1], 20_000)
        print("reading", flush=True)
        one.sum()
        print("not reached")
    """
    for name in ("one.npy", "two.npy"):
        save(tmp_path / name)
    arguments = ["-c", textwrap.dedent(code), tmp_path / "one.npy", tmp_path / "two.npy", when]
    command = [sys.executable, *options, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.stdout == "reading\n" and done.returncode == -signal.SIGBUS
    assert ("Fatal Python error: Bus error" in done.stderr) == bool(options)


@watched
def test_each_watch_knows_its_own_file(tmp_path):
    for name in ("a.npy", "b.npy"):
        save(tmp_path / name)
    a, b = (read_features(tmp_path / name).features for name in ("a.npy", "b.npy"))
    with intact(a, "a") as check_a, intact(b, "b") as check_b:
        cut(tmp_path / "b.npy")
        a.sum()
        b.sum()
        check_a()
        with pytest.raises(ValueError, match="b: was cut short while it was read"):
            check_b()
        assert b[-1, -1] == 0.0


def test_without_the_compiled_module_files_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "can_watch", lambda: False)
    held = []
    problem = scoring._problem
    monkeypatch.setattr(scoring, "_problem", lambda h, *rest: held.append(h) or problem(h, *rest))
    save(tmp_path / "a.npy")
    ranking = tk.rank({"a": tmp_path / "a.npy"}, y, "logme", backend="reference")
    assert ranking[0].scores["logme"] == tk.logme(X, y, backend="reference")
    assert not isinstance(held[0].outputs.features, np.memmap)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".pt"])
def test_features_in_memory(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save(path)
    features = read_features(path, mapped=False).features
    cut(path)
    np.testing.assert_array_equal(np.asarray(features), X)
    with pytest.raises(ValueError, match=path.name):
        read_features(path, mapped=False)
