"""pytest's outcomes as rows, test by test: `pytest -p bench.pytest_rows` with GPU_ROWS=FILE.

Tests that have a row are left out. After one that may have made the GPU useless the run ends with
`rows.AGAIN`, so that the others meet a new process.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bench.rows import AGAIN, CASE_SECONDS, Rows, lost_context, watch

ROWS = Rows(Path(os.environ["GPU_ROWS"]))
#: Characters of a failure that a row keeps.
SAID = 400
WORST = ("passed", "skipped", "failed")

_outcomes: dict[str, tuple[str, str]] = {}
_watches: dict[str, threading.Timer] = {}


def pytest_collection_modifyitems(config, items):
    done = [item for item in items if ROWS.is_done(item.nodeid)]
    config.hook.pytest_deselected(items=done)
    items[:] = [item for item in items if item not in done]


def pytest_runtest_logstart(nodeid):
    ROWS.begin(nodeid)
    _watches[nodeid] = watch(CASE_SECONDS)


def pytest_runtest_logreport(report):
    said = "" if report.passed else (report.longreprtext or str(report.longrepr))[-SAID:]
    before = _outcomes.get(report.nodeid, ("passed", ""))
    _outcomes[report.nodeid] = max(
        before, (report.outcome, said), key=lambda one: WORST.index(one[0])
    )


def pytest_runtest_logfinish(nodeid):
    _watches.pop(nodeid).cancel()
    outcome, said = _outcomes.pop(nodeid)
    ROWS.end(nodeid, outcome, **({"said": said} if said else {}))
    if outcome == "failed" and lost_context(said):
        pytest.exit("the GPU may be lost to this process", returncode=AGAIN)
