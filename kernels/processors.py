"""How many processors this process may use: its affinity, and the CPU quota of its container.

A container with a quota of two processors still shows all 64 of its machine; with a thread for
each, all of them stand still for most of every period.
"""

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def processor_count() -> int:
    """Processors that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    quota = cpu_quota()
    return processors if quota is None else max(1, min(processors, math.ceil(quota)))


@cache
def cpu_quota() -> float | None:
    """Processors' worth of time that the control groups of this process leave it; None: all.

    Both versions of Linux's control groups are read, each group and those around it, since the
    tightest one counts. It is read once: that takes some 0.1 ms.
    """
    quotas = [quota for folder, read in _groups() if (quota := read(folder)) is not None]
    return min(quotas, default=None)


def _groups() -> Iterator[Any]:
    """Folders of the control groups of this process, and what reads the quota of each."""
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts, read = [CGROUPS, CGROUPS / "unified"], _quota_of_version_2
        elif "cpu" in controllers.split(","):
            mounts, read = [CGROUPS / controllers, CGROUPS / "cpu"], _quota_of_version_1
        else:
            continue
        # In a container the path may be that of the host, of which it sees the end alone.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount in mounts:
            for depth in range(len(parts), -1, -1):
                yield mount.joinpath(*parts[:depth]), read


def _quota_of_version_2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        return None
    return None if quota == "max" else _ratio(quota, period)


def _quota_of_version_1(folder: Path) -> float | None:
    try:
        quota = (folder / "cpu.cfs_quota_us").read_text()
        period = (folder / "cpu.cfs_period_us").read_text()
    except (OSError, ValueError):
        return None
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    """Quota over period; None where that says nothing: version 1 writes -1 for no limit."""
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return share if share > 0 else None
