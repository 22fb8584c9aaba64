"""lixiaotong97/PED, ``metrics``: ``PED_Score``, ``One_Step_PED``, and what SFDA has too.

What differs: beside what `transfer_kernels.compat.sfda` tells, classes are those that occur, two
classes with one mean do not push each other, and nothing is printed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inputs.model_outputs import ModelOutputs
from ..kernels.array_namespace import as_float64, on_host
from ..metrics import logme as _logme
from ..metrics import sfda as _sfda
from ..metrics.problem import Problem
from .calls import number, published_errors
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
    "One_Step_PED",
    "PARC_Score",
    "PED_Score",
    "SFDA_Score",
    "TransferabilityMethod",
    "feature_reduce",
]


def _problem(X: Any, y: Any, general_X: Any) -> Problem:
    if general_X is None:
        raise NotImplementedError("general_X is needed: the model's features of general data")
    with published_errors(X, general_X):
        problem = Problem(ModelOutputs(features=X, general=general_X), y)
        problem.inputs.general  # noqa: B018  checked when it is first read
    return problem


def One_Step_PED(
    X: Any,
    y: Any,
    general_X: Any = None,
    time_step: float = 0.01,
    margin: float = 0.5,
    eps: float = 1e-3,
    type: str = "SFDA",
    component_ratio: float = 0.0,
    rescale: bool = False,
    nsigma: float = 2.0,
    constant: float = 1.0,
) -> tuple[np.ndarray, Any, np.float64]:
    """Features whose classes have moved apart once, the labels, and the sum of displacements."""
    from ..metrics import ped

    problem = _problem(X, y, general_X)
    physics = ped.Physics(time_step, constant, eps, exit_ratio=-1.0, most_steps=1)
    found = ped.motion(problem, nsigma, physics)
    moved = as_float64(problem.features) + found.moves[problem.codes]
    return on_host(moved), y, number(found.change)


def PED_Score(
    X: Any,
    y: Any,
    general_X: Any = None,
    exit_ratio: float = 0.5,
    time_step: float = 0.1,
    eps: float = 1e-3,
    type: str = "SFDA",
    component_ratio: float = 0.0,
    nsigma: float = 2.0,
    constant: float = 1.0,
) -> np.float64:
    """SFDA, LOGME or NLEEP, by ``type``, of features whose classes have pushed each other apart."""
    from ..metrics import ped

    scores = {
        "SFDA": _sfda.compute,
        "LOGME": lambda moved: _logme.compute(moved, variant="thuml"),
        "NLEEP": lambda moved: NLEEP(moved.features, moved.labels),
    }
    if type not in scores:
        raise NotImplementedError(f"type={type!r}: choose one of {', '.join(scores)}")
    problem = _problem(X, y, general_X)
    physics = ped.Physics(time_step, constant, eps, exit_ratio)
    moved = ped.moved(problem, ped.motion(problem, nsigma, physics))
    return number(scores[type](moved))
