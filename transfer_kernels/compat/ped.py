"""lixiaotong97/PED, ``metrics``: `PED_Score`, and what SFDA has too.

What differs: beside what `transfer_kernels.compat.sfda` tells, classes are those that occur, and
nothing is printed.
"""

from __future__ import annotations

from .sfda import (
    NLEEP,
    PARC,
    SFDA,
    LogME,
    LogME_Score,
    PARC_Score,
    SFDA_Score,
    TransferabilityMethod,
    feature_reduce,
)

__all__ = [
    "NLEEP",
    "PARC",
    "SFDA",
    "LogME",
    "LogME_Score",
    "PARC_Score",
    "SFDA_Score",
    "TransferabilityMethod",
    "feature_reduce",
]
