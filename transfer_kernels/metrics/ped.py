"""PED, potential energy decline: a metric of features after their classes pushed each other apart.

    X. Li, Z. Hu, Y. Ge, Y. Shan, L.-Y. Duan: "Exploring Model Transferability through the Lens of
    Potential Energy", ICCV 2023.

The features are standardised by the mean and the standard deviation of the same model's features of
general data, such as ImageNet's. A class is a ball around its mean mu_c of radius
r_c = sqrt(sum of its features' variances). Where two balls overlap, by

    o = nsigma (r_i + r_j) - |mu_i - mu_j| > 0,

both move apart along the line of their centres by min(o dt^2 / 2, o), and every sample moves with
its class. That is repeated, at most 6 times and while the total displacement is more than half of
the first. The score is another metric's of the moved features.

Classes move as blocks: their radii never change, and all steps take place among the class means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..inputs.model_outputs import ModelOutputs
from ..kernels.array_namespace import Array, as_float64, beside, on_host
from . import logme as _logme
from . import nleep as _nleep
from . import sfda as _sfda
from .problem import Problem
from .registry import Metric

BASES = ("sfda", "logme", "logme-thuml", "nleep")
NSIGMA = 0.6

BLOCK_ELEMENTS = 1 << 20


def ped(
    features: Any,
    labels: Any,
    *,
    general: Any,
    base: str = "sfda",
    nsigma: float = NSIGMA,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by PED, another metric of features whose classes have moved apart.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    general : (m, d) array or tensor
        The same model's features of general data, such as ImageNet's validation images.
    base : {"sfda", "logme", "logme-thuml", "nleep"}
        The metric of the moved features; "logme-thuml" is LogME by the fixed point of published
        code.
    nsigma : float, default 0.6
        Radii of the classes in units of their spread; published code takes 0.3 and 0.6, its
        function 2.0 where none is given.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In the range of the base.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur, the general features have another
        width, or nsigma is negative or not finite; and as the base raises.

    Warns
    -----
    UninformativeScoreWarning
        As the base warns.

    References
    ----------
    Li et al., "Exploring Model Transferability through the Lens of Potential Energy", ICCV 2023.
    """
    outputs = ModelOutputs(features=features, general=general)
    return METRIC(
        outputs, labels, ignore_label=ignore_label, backend=backend, base=base, nsigma=nsigma
    )


@dataclass(frozen=True)
class Physics:
    """Constants of the simulation, as its published script has them.

    Parameters
    ----------
    time_step : float
    constant : float
        Of the force, a factor.
    floor : float
        Standard deviations of general features below this count as it, in the features' unit.
    exit_ratio : float
        The steps end where one displaces by no more than this share of the first.
    most_steps : int
    """

    time_step: float = 0.1
    constant: float = 1.0
    floor: float = 1e-3
    exit_ratio: float = 0.5
    most_steps: int = 6


PUBLISHED = Physics()


@dataclass(frozen=True)
class Motion:
    """Where the classes went.

    Parameters
    ----------
    moves : (C, d) array
        Of every class, in the features' unit.
    n_steps : int
        Steps that were made.
    change : float
        Sum of the displacements of the last step that was made, standardised; 0 without any.
    """

    moves: Any
    n_steps: int
    change: float


@np.errstate(all="ignore")
def compute(problem: Problem, base: str = "sfda", nsigma: float = NSIGMA) -> float:
    """The score of a problem; see `ped`."""
    if not 0.0 <= nsigma < np.inf:
        raise ValueError(f"nsigma={nsigma!r} is out of range: it must be finite and not negative")
    there = moved(problem, motion(problem, nsigma))
    if base == "sfda":
        return _sfda.compute(there)
    if base == "nleep":
        return _nleep.compute(there)
    return _logme.compute(there, variant="evidence" if base == "logme" else "thuml")


@np.errstate(all="ignore")
def motion(problem: Problem, nsigma: float = NSIGMA, physics: Physics = PUBLISHED) -> Motion:
    """How the classes of a problem push each other apart."""
    general = problem.inputs.general
    if general.shape[1] != problem.n_features:
        raise ValueError(
            f"general must have the {problem.n_features} columns of features, being of the same "
            f"model, not shape {tuple(general.shape)}"
        )
    mean, deviation = _general_scale(general, physics.floor)
    counts = problem.class_counts
    scatter = problem.scatter
    offsets = scatter.shift - beside(scatter.shift, mean)
    means = (scatter.shifted_means + offsets) / beside(scatter.shift, deviation)
    radii = _radii(problem, scatter.means, deviation, counts)
    reach = nsigma * (radii[:, None] + radii)
    start, first, last = means, 0.0, 0.0
    n_steps = 0
    while n_steps < physics.most_steps:
        step = _displacements(means, reach, physics)
        change = float(abs(step).sum())
        first = first or change
        if not change > physics.exit_ratio * first:
            break
        means, last = means + step, change
        n_steps += 1
    return Motion((means - start) * beside(means, deviation), n_steps, last)


def _displacements(means: Any, reach: Any, physics: Physics) -> Any:
    """(C, d) step of every class: the sum of what each other gives it, along their line."""
    distances = np.sqrt(_squared_distances(on_host(means)))
    overlap = np.maximum(reach - distances, 0.0)
    share = np.minimum(0.5 * physics.time_step**2 * physics.constant * overlap, overlap)
    share = np.where(distances > 0.0, share / np.where(distances > 0.0, distances, 1.0), 0.0)
    share = beside(means, share)
    return share.sum(axis=1)[:, None] * means - share @ means


def _squared_distances(means: Any) -> np.ndarray:
    """(C, C) squared distances, by differences: near means keep their digits."""
    found = np.zeros((len(means), len(means)))
    for i, mean in enumerate(means):
        found[i] = ((means - mean) ** 2).sum(axis=1)
    return found


def _general_scale(general: Any, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """(d,) mean and standard deviation of general features, on the host."""
    rows = _Blocks(general)
    mean = sum(block.sum(axis=0) for _, block in rows) / len(general)
    square = sum(((block - mean) ** 2).sum(axis=0) for _, block in rows) / len(general)
    return on_host(mean), np.maximum(np.sqrt(on_host(square)), floor)


def _radii(problem: Problem, means: Any, deviation: Any, counts: np.ndarray) -> np.ndarray:
    """(C,) square roots of the classes' summed variances, standardised."""
    means = beside(problem.features, means)
    codes = beside(means, problem.codes)
    inverse = beside(means, 1.0 / deviation)
    squares = np.empty(problem.n_samples)
    for rows, block in _Blocks(problem.features):
        squares[rows] = on_host((((block - means[codes[rows]]) * inverse) ** 2).sum(axis=1))
    return np.sqrt(np.bincount(problem.host_codes, squares) / counts)


class _Blocks:
    """Rows in float64 in blocks, and which they are."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __iter__(self) -> Iterator[tuple[slice, Any]]:
        step = max(1, BLOCK_ELEMENTS // self.array.shape[1])
        for start in range(0, len(self.array), step):
            rows = slice(start, min(start + step, len(self.array)))
            yield rows, as_float64(self.array[rows])


def moved(problem: Problem, found: Motion) -> Problem:
    """The problem of the moved features, in float64; itself where nothing moved."""
    if found.n_steps == 0:
        return problem
    features = as_float64(problem.features) + found.moves[beside(found.moves, problem.codes)]
    there = Problem(features, problem.labels, problem.backend)
    there.scatter = problem.scatter.moved_classes(found.moves)
    return there


METRIC = Metric(
    "ped",
    compute,
    "SFDA, LogME or NLEEP after the classes have pushed each other apart",
    paper="Li et al., ICCV 2023",
    choices={"base": BASES},
    needs=frozenset({"features", "general"}),
)
