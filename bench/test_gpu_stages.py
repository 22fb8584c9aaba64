"""The stages of first contact with a GPU: what fails, hangs or is cut off stops nothing else."""

import json
import sys
import time
from pathlib import Path

import pytest

from bench import gpu_stages
from bench.gpu_stages import Stage, Step, stages
from bench.rows import AGAIN, CUT_OFF, Rows


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a stage of some steps; how each of them ended."""
    monkeypatch.setattr(gpu_stages, "LEAST_SECONDS", 0)
    monkeypatch.setattr(gpu_stages, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(gpu_stages, "made_of", lambda stage: "this")

    def run(*steps, name="build"):
        monkeypatch.setattr(gpu_stages, "stages", lambda dry, work: {name: list(steps)})
        Stage(name, True, tmp_path, tmp_path / "out").run()
        record = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        return record["steps"]

    return run


def python(name, code, seconds=20, **more):
    return Step(name, (sys.executable, "-c", code), seconds, **more)


def with_rows(name, code, **more):
    """A step whose code has `rows`."""
    start = "import os; from pathlib import Path; from bench.rows import *\n"
    start += "rows = Rows(Path(os.environ['GPU_ROWS']))\n"
    return python(name, start + code, rows=f"{name}.jsonl", **more)


def test_every_stage_ends_within_its_time():
    for dry in (True, False):
        for name, steps in stages(dry, Path("work")).items():
            assert sum(step.seconds for step in steps) <= gpu_stages.STAGE_SECONDS, name
            assert len({step.name for step in steps}) == len(steps)


def test_all_files_of_tests_are_there():
    for steps in stages(False, Path("work")).values():
        for step in steps:
            for word in step.command:
                assert not word.endswith(".py") or Path(word).exists()


def test_a_failure_is_recorded_and_the_next_step_runs(run, tmp_path):
    found = run(
        python("bad", "import sys; print('no luck'); sys.exit(3)"),
        Step("absent", ("no-such-command",), 5),
        python("good", "print('fine')"),
    )
    assert [found[name]["outcome"] for name in found] == ["failed", "failed", "passed"]
    assert found["bad"]["status"] == 3
    log = (tmp_path / "out" / "build.log").read_text()
    assert "no luck" in log and "no-such-command" in log


def test_an_essential_step_ends_the_stage(run):
    assert list(run(python("bad", "raise SystemExit(1)", essential=True), python("next", ""))) == [
        "bad"
    ]


def test_a_step_that_takes_too_long_is_cut_off_and_taken_up_again(run):
    code = "rows.is_done('a') or (rows.begin('a'), rows.end('a', 'passed'))\n"
    slow = code + "import time; rows.begin('b'); time.sleep(30)"
    start = time.monotonic()
    found = run(with_rows("tests", slow, seconds=2))
    assert time.monotonic() - start < 15
    assert found["tests"]["outcome"] == CUT_OFF
    assert found["tests"]["rows"] == {CUT_OFF: 1, "passed": 1}
    found = run(with_rows("tests", code + "rows.begin('b'); rows.end('b', 'passed')"))
    assert found["tests"]["outcome"] == "passed" and found["tests"]["rows"] == {"passed": 2}


def test_what_has_ended_is_not_run_again(run, tmp_path):
    code = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
    for _ in range(2):
        run(python("once", code), python("wrong", code + "; raise SystemExit(1)"))
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_lost_gpu_asks_for_a_new_process(run):
    code = (
        "import sys\n"
        "for case in 'abc':\n"
        "    if not rows.is_done(case):\n"
        "        rows.begin(case)\n"
        "        rows.end(case, 'failed' if case == 'b' else 'passed')\n"
        f"        case == 'b' and sys.exit({AGAIN})\n"
    )
    found = run(with_rows("tests", code))["tests"]
    assert found["rows"] == {"failed": 1, "passed": 2}
    assert [row["case"] for row in found["wrong"]] == ["b"]


def test_a_case_that_ends_its_process_is_left_alone_after_two_tries(run):
    code = (
        "for case in 'ab':\n"
        "    if not rows.is_done(case):\n"
        "        rows.begin(case)\n"
        f"        case == 'a' and os._exit({AGAIN})\n"
        "        rows.end(case, 'passed')\n"
    )
    found = run(with_rows("tests", code))["tests"]
    assert found["rows"] == {CUT_OFF: 1, "passed": 1}


def test_the_sanitizer_decides_too(run):
    said = "print('========= Invalid __global__ write of size 8 bytes')"
    found = run(python("memcheck", said, sanitized=True))["memcheck"]
    assert found["outcome"] == "failed" and "Invalid __global__" in found["sanitizer"][0]
    assert run(python("clean", "print('=========')", sanitized=True), name="build")


def test_other_stages_need_the_package_of_these_sources(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_stages, "made_of", lambda stage: "this")
    assert not Stage("truth", True, tmp_path, None).run()
    assert "run the stage build first" in capsys.readouterr().out


def test_rows_survive_a_line_that_was_being_written(tmp_path):
    rows = Rows(tmp_path / "rows.jsonl")
    rows.begin("a")
    rows.end("a", "passed", seconds=1)
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"case": "b", "outc')
    again = Rows(tmp_path / "rows.jsonl")
    assert again.is_done("a") and again.latest["a"]["seconds"] == 1 and not again.is_done("b")


def test_pytest_keeps_a_row_of_each_test(run, tmp_path, monkeypatch):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): raise RuntimeError('CUDA error: an illegal memory access')\n"
        "def test_skipped(): pytest.skip('not here')\n"
        "def test_last(): pass\n"
    )
    step = gpu_stages.tests("truth", 60, (), "")
    options = ("-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path / "test_it.py"))
    found = run(Step("truth", (*step.command, *options), 60, rows="truth.jsonl"))["truth"]
    assert found["rows"] == {"failed": 1, "passed": 2, "skipped": 1}
    assert "illegal memory access" in found["wrong"][0]["said"]
