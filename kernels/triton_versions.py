"""Which pairs of Triton and GPU compile the Triton kernels, by what was tried; imports nothing."""

from __future__ import annotations

#: The oldest release whose kernels are compiled and checked for every GPU below.
OLDEST = (3, 6)
#: The oldest compute capability that the kernels are compiled and checked for.
OLDEST_GPU = (8, 0)
#: Releases before this one send float64 products to Blackwell's tensor memory and fail there.
OLDEST_FOR_BLACKWELL = (3, 9)


def release(version: str) -> tuple[int, int]:
    """Major and minor number of a version such as "3.6.0" or "3.9.0+git1234"."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def obstacle_of(version: str, capability: tuple[int, int]) -> str | None:
    """Why this release of Triton cannot compile the kernels for that GPU, or None.

    Parameters
    ----------
    version : str
        Of Triton.
    capability : (int, int)
        The GPU's compute capability.
    """
    pair = f"Triton {version} on a GPU of compute capability {capability[0]}.{capability[1]}"
    if release(version) < OLDEST:
        return f"{pair}: the kernels need Triton {OLDEST[0]}.{OLDEST[1]} or newer"
    if capability < OLDEST_GPU:
        return f"{pair}: the kernels need {OLDEST_GPU[0]}.{OLDEST_GPU[1]} or newer"
    if capability[0] == 10 and release(version) < OLDEST_FOR_BLACKWELL:
        needed = f"{OLDEST_FOR_BLACKWELL[0]}.{OLDEST_FOR_BLACKWELL[1]}"
        return f"{pair} does not compile float64 products; Triton {needed} does"
    return None
