"""How much memory a file may take here, so that no file is unpacked that cannot fit."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: Limits of the control group of this process, as containers and batch systems set them.
_GROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def available_memory() -> float:
    """Return the bytes that this process can still take; infinity where nothing tells."""
    return min(_free(), *map(_limit, _group_files()))


def _free() -> float:
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if found:
            return 1024.0 * int(found[1])
    except OSError:
        pass
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):  # as on Windows
        return float("inf")


def _group_files() -> list[str]:
    """The files that hold this process' limits: its own group's, those above, the container's."""
    files = list(_GROUP_LIMITS)
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return files
    for line in groups:
        if line.startswith("0::/"):
            folder = Path("/sys/fs/cgroup") / line[4:]
            while folder != Path("/sys/fs/cgroup"):
                files.append(str(folder / "memory.max"))
                folder = folder.parent
    return files


def _limit(file: str) -> float:
    try:
        return float(int(Path(file).read_text()))
    except (OSError, ValueError):  # absent, or "max"
        return float("inf")


def format_bytes(size: float) -> str:
    """Write a size with two or three digits and its unit."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            break
        size /= 1000.0
    return f"{size:.0f} {unit}" if unit == "bytes" or size >= 99.5 else f"{size:.3g} {unit}"
