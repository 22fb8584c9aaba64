"""Finished runs are not lost to a closed, full or narrow output; names steer no terminal."""

import errno
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import in_subprocess, make_problem

import transfer_kernels as tk
from transfer_kernels.cli.main import main
from transfer_kernels.evaluation import evaluate, evaluation_table
from transfer_kernels.files.csv_cells import csv_text
from transfer_kernels.files.score_files import Journal, write_atomically
from transfer_kernels.text import terminal
from transfer_kernels.zoo.ranking import ModelScores, Ranking

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX streams and file names")

ODD_NAMES = ["plain", "modèle", "na\udcefve", "\x1b[31mred\x07", "two\nlines", "\u202egnp"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Models with odd names, their labels and true accuracies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TRANSFER_KERNELS_BACKEND", "reference")
    folder = tmp_path / "zoo"
    folder.mkdir()
    for i, name in enumerate(ODD_NAMES):
        features, labels = make_problem(40, 4, 3, seed=1, spread=0.3 * i)
        np.save(folder / f"{name}.npy", features)
    np.save(folder / "labels.npy", labels)
    rows = [["model", "accuracy"], *([name, 0.1 * i] for i, name in enumerate(ODD_NAMES))]
    (folder / "truth.csv").write_text(csv_text(rows), encoding="utf-8")
    return folder


def command(*arguments, **environment):
    """The command in a process of its own; bytes."""
    return subprocess.run(
        [sys.executable, "-m", "transfer_kernels", *map(str, arguments)],
        capture_output=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def shell(line, folder):
    """A line for the shell in which $TK stands for the command and $DIR for the folder."""
    environment = {**os.environ, "TK": f"{sys.executable} -m transfer_kernels", "DIR": str(folder)}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=120, env=environment
    )


LOGME = ("--metric", "logme")


# ---------------------------------------------------------------------------- encodings


@pytest.mark.parametrize(
    ("environment", "encoding"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "ascii"),
        ({"PYTHONIOENCODING": "cp1252"}, "cp1252"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii"),
        ({"PYTHONIOENCODING": "utf-8:strict"}, "utf-8"),
    ],
)
def test_the_table_is_printed_in_any_encoding(folder, tmp_path, environment, encoding):
    out = tmp_path / "scores.csv"
    done = command("rank", folder, *LOGME, "--out", out, **environment)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    text = done.stdout.decode(encoding)
    assert "weighted t" in text or "weighted τ" in text
    for shown in (r"na\udcefve", r"\x1b[31mred\x07", r"two\nlines", r"\u202egnp"):
        assert shown in text
    assert ("modèle" if encoding != "ascii" else r"mod\xe8le") in text
    lines = text.splitlines()
    (rule,) = [line for line in lines[:3] if set(line) <= set("-─ ")]
    assert len(rule) >= max(len(line.rstrip()) for line in lines[2:8])
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1 + len(ODD_NAMES) + 1


def test_print_in_a_program_in_any_encoding():
    code = (
        "import numpy as np, transfer_kernels as tk\n"
        "from transfer_kernels.evaluation import evaluation_table\n"
        "X, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3\n"
        "table = tk.rank({'é': X, '\\udcff': X + 1}, y, 'logme', backend='reference')\n"
        "one = tk.evaluate({'é': 1.0, '\\udcff': float('nan'), 'b': 2.0},"
        " {'é': 1.0, '\\udcff': 1.0, 'b': 2.0})\n"
        "print(table); print(one); print(evaluation_table({'é': one})); tk.show_backends()"
    )
    done = in_subprocess(code, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"\xe9" in done.stdout and r"\udcff" in done.stdout and "weighted tau" in done.stdout


# ---------------------------------------------------------------------------- odd names


def test_odd_names_are_kept_in_files_and_journals(folder, tmp_path):
    for suffix in (".csv", ".json"):
        out = tmp_path / f"scores{suffix}"
        for reused in (0, len(ODD_NAMES)):
            done = command("rank", folder, *LOGME, "--out", out)
            assert done.returncode == 0, done.stderr
            assert (b"scores are from" in done.stderr) == bool(reused)
    import json

    from transfer_kernels.files.target_files import read_truth

    content = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert {row["model"] for row in content["models"]} == set(ODD_NAMES)
    text = (tmp_path / "scores.csv").read_text(encoding="utf-8").replace("logme", "accuracy", 1)
    (tmp_path / "truth.csv").write_text(text, encoding="utf-8")
    assert set(read_truth(tmp_path / "truth.csv").accuracy) == set(ODD_NAMES)


def test_nothing_steers_the_terminal(folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    (folder / "bad\x1b[2J.npy").write_bytes(b"nothing")
    plot = tmp_path / "plot.png"
    assert main(["rank", str(folder), "--fresh", *LOGME, "--plot", str(plot)]) == 1
    out, err = capsys.readouterr()
    assert main(["rank", str(folder), "--metric", "x\x1b[31m"]) == 2
    assert main(["rank", str(folder), "--out", "x\x1b[31m.csv\n/x"]) == 2
    with pytest.raises(SystemExit):
        main(["rank", str(folder), "--\x1b[31m"])
    for text in (out, err, capsys.readouterr().err):
        assert text and all(line.isprintable() for line in text.split("\n")), text
    assert r"bad\x1b[2J" in out and r"bad\x1b[2J" in err


def test_labels_of_pictures_are_printable_and_no_formulas(tmp_path):
    pytest.importorskip("matplotlib")
    from transfer_kernels.display.plots import save_figure

    names = ["$\\frac$", "a$b$c", *ODD_NAMES, "long" * 100]
    rows = [ModelScores(n, {"m": float(i)}, {"m": 0.1}) for i, n in enumerate(names)]
    ranking = Ranking(rows, ["m"])
    for figure in (ranking.plot(), ranking.plot({n: float(i) for i, n in enumerate(names)})):
        save_figure(figure, tmp_path / "plot.svg")
        axes = figure.axes[0]
        shown = [text.get_text() for text in (*axes.get_yticklabels(), *axes.texts)]
        assert all(text.isprintable() and len(text) < 90 for text in shown)
        assert any(text == r"a\$b\$c" for text in shown)


def test_html_holds_no_control_characters():
    rows = [ModelScores(n, {"m": 1.0}, {"m": 0.1}) for n in ODD_NAMES]
    html = Ranking(rows, ["m"])._repr_html_()
    assert html.isprintable() and html.encode()


def test_the_progress_bar_shows_printable_titles(capsys):
    with terminal.progress_bar(2, True, title="adding \x1b[31m\n") as bar:
        bar.update()
    err = capsys.readouterr().err
    assert r"adding \x1b[31m\n" in err and "\x1b[31m" not in err


# ---------------------------------------------------------------------------- closed streams


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("$TK rank $DIR --metric logme | head -1; exit ${PIPESTATUS[0]}", 0, ""),
        ("$TK info | true; exit ${PIPESTATUS[0]}", 0, ""),
        pytest.param(
            "$TK rank --help | true; exit ${PIPESTATUS[0]}", 0, "", marks=pytest.mark.exhaustive
        ),
        ("$TK rank $DIR --metric logme >&-", 2, "standard output is closed"),
        ("$TK info >/dev/full", 2, "standard output: No space left on device"),
        pytest.param(
            "$TK --help >/dev/full",
            2,
            "standard output: No space left on device",
            marks=pytest.mark.exhaustive,
        ),
        ("$TK rank $DIR --metric logme 2>&-", 0, ""),
        pytest.param(
            "$TK rank $DIR --metric logme 2>/dev/full", 0, "", marks=pytest.mark.exhaustive
        ),
        pytest.param("$TK rank /absent 2>&-", 2, "", marks=pytest.mark.exhaustive),
        pytest.param("$TK rank /absent 2>/dev/full", 2, "", marks=pytest.mark.exhaustive),
        ("$TK rank /absent >&- 2>&- <&-", 2, ""),
        pytest.param("$TK rank 2>&-", 2, "", marks=pytest.mark.exhaustive),
    ],
)
def test_streams_that_are_closed_full_or_without_reader(folder, line, code, says):
    done = shell(line, folder)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert says in done.stderr and (says or not done.stderr)
    if "2>" in line and code == 0:
        assert "modèle" in done.stdout


def test_files_are_written_though_nobody_reads_the_table(folder, tmp_path):
    out = tmp_path / "scores.csv"
    for redirection, code in (("| true; exit ${PIPESTATUS[0]}", 0), (">&-", 2), (">/dev/full", 2)):
        done = shell(f"$TK rank $DIR --metric logme --out {out} {redirection}", folder)
        assert done.returncode == code, done.stderr
        assert len(out.read_text(encoding="utf-8").splitlines()) > len(ODD_NAMES)
        assert not out.read_text(encoding="utf-8").startswith("#")
        out.unlink()


def test_in_a_program_without_streams():
    code = (
        "import sys, os; out = sys.stdout; sys.stdout = sys.stderr = None\n"
        "import numpy as np, transfer_kernels as tk\n"
        "X, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3\n"
        "for progress in (None, True):\n"
        "    table = tk.rank({'a': X, 'b': X + 1}, y, 'logme', progress=progress)\n"
        "str(table); tk.show_backends()\n"
        "print(len(table), file=out)"
    )
    done = in_subprocess(code)
    assert (done.stdout, done.stderr) == ("2\n", "")


# ---------------------------------------------------------------------------- full disks


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_the_table_is_printed_though_the_disk_is_full(folder, tmp_path, capsys, suffix):
    out = tmp_path / f"scores{suffix}"
    out.symlink_to("/dev/full")
    assert main(["rank", str(folder), *LOGME, "--out", str(out)]) == 2
    printed, err = capsys.readouterr()
    assert "plain" in printed
    (line,) = [line for line in err.splitlines() if ": error: " in line]
    assert line == f"transfer-kernels: error: {out}: No space left on device"
    assert os.path.exists("/dev/full") and not os.path.isfile("/dev/full")


def limited(size):
    """Let a process write files of at most so many bytes."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_journal_that_cannot_grow_costs_no_score(folder, tmp_path):
    out = tmp_path / "scores.csv"
    line = [sys.executable, "-m", "transfer_kernels", "rank", str(folder), *LOGME]
    line += ["--out", str(out)]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=120, preexec_fn=limited(700), encoding="utf-8"
    )
    assert "plain" in done.stdout and done.stdout.count("\n") > len(ODD_NAMES)
    assert "Traceback" not in done.stderr
    assert "scores.csv.journal: File too large; the scores are computed" in done.stderr
    assert done.stderr.count("warning: journal: ") == 1
    written = (tmp_path / "scores.csv.journal").read_text()
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, encoding="utf-8")
    assert done.returncode == 0
    assert "scores are from" in done.stderr
    if not written.endswith("\n"):
        assert "line 3 of" in done.stderr or "line 2 of" in done.stderr
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, encoding="utf-8")
    assert f"{len(ODD_NAMES)} of {len(ODD_NAMES)} scores are from" in done.stderr


def test_a_full_disk_midway_through_a_line(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal")
    original = os.write

    def half(descriptor, content):
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(descriptor, content[: len(content) // 2])

    from transfer_kernels.files.score_files import JournalEntry

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space left on device: '.*journal'"):
        journal.add({"model": "a"}, JournalEntry(1.0, 0.1))
    monkeypatch.undo()
    journal.add({"model": "b"}, JournalEntry(2.0, 0.1))
    with pytest.warns(RuntimeWarning, match="line 1 of .*journal cannot be read"):
        again = Journal(tmp_path / "journal")
    assert again.get({"model": "b"}) == JournalEntry(2.0, 0.1)


def test_what_is_no_file_is_written_as_it_is():
    code = (
        "from transfer_kernels.files.score_files import write_atomically\n"
        "write_atomically('/dev/stdout', 'text')"
    )
    assert in_subprocess(code).stdout == "text"


def test_a_scatter_is_saved_whole_or_not_at_all(tmp_path):
    scatter = tk.ops.fisher_scatter(np.eye(40), np.arange(40) % 2, 2, backend="reference")
    scatter.save(tmp_path / "old.npz")
    before = (tmp_path / "old.npz").read_bytes()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, resource, transfer_kernels as tk\n"
            "scatter = tk.ops.FisherScatter.load(sys.argv[1])\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
            "scatter.save(sys.argv[1])",
            str(tmp_path / "old.npz"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    last = done.stderr.splitlines()[-1]
    assert "File too large" in last and "old.npz" in last
    assert os.listdir(tmp_path) == ["old.npz"]
    assert (tmp_path / "old.npz").read_bytes() == before
    scatter.save(tmp_path / "unnamed")  # as NumPy does, it adds the suffix
    assert type(scatter).load(tmp_path / "unnamed.npz").counts.tolist() == [20.0, 20.0]


def test_a_full_disk_under_the_cache_of_numba_costs_no_score(tmp_path):
    code = (
        "import errno, sys, numba.core.caching as caching\n"
        "def full(self, *_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "caching.IndexDataCacheFile.save = full\n"
        "import numpy as np\n"
        "from transfer_kernels.kernels.numba_runtime import kernel\n"
        "@kernel\n"
        "def double(x): return 2 * x\n"
        "print(double(21))"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.stdout == "42\n", done.stderr


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "scores.csv", tmp_path / "scores.csv"
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert os.listdir(target.parent) == ["scores.csv"]
    dangling = tmp_path / "dangling.csv"
    dangling.symlink_to(tmp_path / "elsewhere" / "later.csv")
    write_atomically(dangling, "new")
    assert (tmp_path / "elsewhere" / "later.csv").read_text() == "new"


def test_a_failed_state_is_told_after_the_recommendation(tmp_path, capsys):
    pytest.importorskip("safetensors")
    rng = np.random.default_rng(0)
    proxies = tmp_path / "proxies"
    proxies.mkdir()
    for task in "abcd":
        np.save(proxies / f"{task}.npy", rng.normal(size=(10, 3)))
    table = tmp_path / "table.csv"
    table.write_text("model,a,b,c,d\nx,1,2,3,4\ny,2,3,1,1\nz,4,1,1,2\n")
    (tmp_path / "taken").write_text("")
    arguments = ["recommend", table, "--proxies", proxies, "--task", proxies / "a.npy"]
    arguments += ["--regressor", "ridge", "--save", tmp_path / "taken"]
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert re.search(r"^1 +[xyz] ", out, re.MULTILINE)
    assert "taken: File exists" in err


# ---------------------------------------------------------------------------- journals

ENTRIES = [
    "",
    "nonsense",
    "[]",
    "[" * 100_000,
    "{}",
    '{"score": 1, "seconds": 1}',
    '{"score": "x", "seconds": 1, "warning": null}',
    '{"score": 1, "seconds": 1, "warning": 5}',
    '{"score": 1, "seconds": 1, "warning": ["a"]}',
    '{"score": true, "seconds": 1, "warning": null}',
    '{"score": 1' + "0" * 400 + ', "seconds": 1, "warning": null}',
    '{"score": 1' + "0" * 5000 + ', "seconds": 1, "warning": null}',
    "\x00" * 100,
    "\x85\u2028",
]


@pytest.mark.parametrize("line", ENTRIES, ids=lambda line: repr(line)[:12])
def test_one_bad_line_costs_that_line(tmp_path, line):
    X, y = make_problem(40, 4, 3)
    path = tmp_path / "journal"
    options = {"labels": y, "metrics": "logme", "backend": "reference", "journal": path}
    first = tk.rank({"a": X, "b": 2 * X}, **options)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, lines[1]]) + "\n", encoding="utf-8")
    if line.strip():
        with pytest.warns(RuntimeWarning, match="line 2 of .*journal cannot be read") as caught:
            journal = Journal(path)
        assert len(caught) == 1
    else:
        journal = Journal(path)
    options["journal"] = journal
    assert tk.rank({"a": X, "b": 2 * X}, **options).scores == first.scores
    assert journal.reused == 2


def test_many_bad_lines_are_told_in_one(tmp_path, folder):
    out = tmp_path / "scores.csv"
    (tmp_path / "scores.csv.journal").write_bytes(b"\xff\xfe\n" * 50)
    done = command("rank", folder, *LOGME, "--out", out)
    assert done.returncode == 0 and done.stderr.count(b"\n") == 1
    assert b"warning: journal: line 1 and 49 more of " in done.stderr


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_journal_that_is_no_file(tmp_path, folder, capsys, kind):
    path = tmp_path / "scores.csv.journal"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert main(["rank", str(folder), *LOGME, "--out", str(tmp_path / "scores.csv")]) == 2
    out, err = capsys.readouterr()
    assert "scores.csv.journal is no file; name one" in err and not out
    X, y = make_problem(40, 4, 3)
    with pytest.raises(ValueError, match="journal is no file"):
        tk.rank({"a": X}, y, "logme", journal=path)


def test_a_journal_in_the_cache_that_is_no_file_is_no_obstacle(folder, tmp_path, capsys):
    assert main(["rank", str(folder), *LOGME]) == 0
    (journal,) = (tmp_path / "cache" / "transfer_kernels").iterdir()
    journal.unlink()
    journal.mkdir()
    capsys.readouterr()
    assert main(["rank", str(folder), *LOGME]) == 0
    out, err = capsys.readouterr()
    assert "plain" in out
    assert err.count("\n") == 1 and "an interrupted run cannot be taken up" in err


def test_a_journal_in_an_absent_place(tmp_path):
    X, y = make_problem(40, 4, 3)
    (tmp_path / "file").write_text("")
    with pytest.warns(RuntimeWarning, match="journal: .*file.*; the scores are computed"):
        table = tk.rank({"a": X}, y, "logme", journal=tmp_path / "file" / "journal")
    assert len(table.best()) == 1


# ---------------------------------------------------------------------------- no home


def test_without_a_home(folder, tmp_path, capfd):
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    code = (
        "import os, pwd, sys\n"
        "def nobody(uid): raise KeyError(f'getpwuid(): uid not found: {uid}')\n"
        "pwd.getpwuid = nobody\n"  # as for a container's user that is in no list
        "from transfer_kernels.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    plot = tmp_path / "plot.png"
    line = [sys.executable, "-c", code, "rank", folder, *LOGME, "--plot", plot]
    done = subprocess.run(
        line, capture_output=True, timeout=120, env=environment, cwd=tmp_path / "zoo"
    )
    assert done.returncode == 0, done.stderr
    assert b"plain" in done.stdout and b"Traceback" not in done.stderr
    assert not [name for name in os.listdir(folder) if name.startswith((".", "~"))]


@pytest.mark.parametrize("value", ["relative/cache", "~"])
def test_a_cache_that_is_no_absolute_path_is_passed_over(folder, tmp_path, monkeypatch, value):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.chdir(tmp_path)
    assert main(["rank", str(folder), *LOGME]) == 0
    assert sorted(os.listdir(tmp_path)) == ["zoo"]


@pytest.mark.exhaustive
def test_archi2vec_without_a_home():
    for package in ("torch", "gensim", "sklearn"):
        pytest.importorskip(package)
    code = (
        "import pwd\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"
        "import os; del os.environ['HOME']\n"
        "from transfer_kernels.recommend import archi2vec\n"
        "print(archi2vec.__name__, 'HOME' in os.environ)"
    )
    done = in_subprocess(code)
    assert done.stdout == "archi2vec False\n", done.stderr


# ---------------------------------------------------------------------------- several failures


def test_every_result_is_handed_out_and_every_failure_told(capsys):
    done = []

    def fail(what):
        raise OSError(errno.ENOSPC, "No space left on device", what)

    with pytest.raises(OSError, match="one.csv"):
        terminal.deliver(
            lambda: fail("one.csv"), lambda: done.append(1), lambda: fail("two\x1b.png")
        )
    assert done == [1]
    assert capsys.readouterr().err == (
        "transfer-kernels: error: two\\x1b.png: No space left on device\n"
    )


def test_evaluations_show_printable_names():
    one = evaluate(
        {"a": 1.0, "b": 2.0, "\x1b[31m": float("nan")}, {"a": 1.0, "b": 2.0, "\x1b[31m": 1.0}
    )
    for text in (str(one), evaluation_table({"\x1b[31m": one})):
        assert "\x1b" not in text and r"\x1b[31m" in text
