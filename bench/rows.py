"""A file of results that grows line by line, so that a run that was cut off can go on from there.

Each line is a JSON object with "case" and "outcome". A case is noted as "running" before it begins:
one that is found so has ended its process, and is tried once more and then no longer.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

RUNNING, CUT_OFF = "running", "cut off"
#: Seconds after which a case counts as hanging.
CASE_SECONDS = 150
#: How often a case may end its process before it is left alone.
MOST_CUT_OFF = 2
#: Exit status of a run that recorded what went wrong and asks to be started again.
AGAIN = 75
#: What PyTorch says when a kernel's fault has made the process's GPU context useless.
LOST_CONTEXT = (
    "CUDA error",
    "illegal memory access",
    "unspecified launch failure",
    "device-side assert",
)


def watch(seconds: float) -> threading.Timer:
    """Starts the time of a case; one that hangs ends the process, which then asks for a new one.

    `cancel()` the timer when the case has ended.
    """
    timer = threading.Timer(seconds, os._exit, [AGAIN])
    timer.daemon = True
    timer.start()
    return timer


def lost_context(message: str) -> bool:
    """Whether an error may have left the GPU useless for the rest of the process."""
    return any(words in message for words in LOST_CONTEXT)


class Rows:
    """The rows of a file, which is made where there is none.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path):
        self._path = path
        self.latest: dict[str, dict] = {}
        self._cut_off: dict[str, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                self._take(json.loads(line))
            except ValueError:
                continue  # the line that was being written
        for case in [c for c, row in self.latest.items() if row["outcome"] == RUNNING]:
            self._add({"case": case, "outcome": CUT_OFF})

    def begin(self, case: str) -> None:
        """Note that a case begins."""
        self._add({"case": case, "outcome": RUNNING})

    def end(self, case: str, outcome: str, **values: Any) -> None:
        """Note how a case ended."""
        self._add({"case": case, "outcome": outcome, **values})

    def is_done(self, case: str) -> bool:
        """Whether a case has an outcome, or was cut off too often to be tried again."""
        row = self.latest.get(case)
        if row is None or row["outcome"] == RUNNING:
            return False
        return row["outcome"] != CUT_OFF or self._cut_off[case] >= MOST_CUT_OFF

    def _add(self, row: dict) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._take(row)

    def _take(self, row: dict) -> None:
        case = row["case"]
        self.latest[case] = row
        self._cut_off[case] = self._cut_off.get(case, 0) + (row["outcome"] == CUT_OFF)
