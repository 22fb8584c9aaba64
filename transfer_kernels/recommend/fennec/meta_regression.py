"""Linear regression of transferability on what is known of a model and of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...text.quoting import shown
from ..history import MODEL_FACTS, TransferHistory
from ..saved_state import SavedState

TASK_FACTS = ("images", "classes")

Matrix = NDArray[Any]


@dataclass(frozen=True)
class MetaRegression:
    """Least squares on [facts of the model, its architecture | facts of the task].

    The columns are standardised, which changes no prediction, and where they are linearly dependent
    the solution of least norm is taken.

    Attributes
    ----------
    model_facts, task_facts : tuple of str
        Facts that are used: those of parameters and layers, images and classes, that the history
        knows of all models or tasks.
    architecture_names : tuple or None
        What the one-hot columns stand for; None where architectures are vectors or there are none.
    model_weights, task_weights : (a,), (b,) arrays
        Of the columns as they are, not standardised.
    intercept : (1,) array
    """

    model_facts: tuple[str, ...]
    task_facts: tuple[str, ...]
    architecture_names: tuple[Any, ...] | None
    model_weights: Matrix
    task_weights: Matrix
    intercept: Matrix

    @classmethod
    def fit(
        cls, history: TransferHistory, target: Matrix, architectures: Any
    ) -> tuple[MetaRegression, Matrix]:
        """Fit to the known entries of a matrix of the history's shape.

        Returns
        -------
        regression : MetaRegression
        model_parts : (M,) array
            What each model adds to its predictions, intercept included.

        Raises
        ------
        ValueError
            If nothing is known of all models, or the architectures do not fit them.
        """
        model_facts = _shared_facts(history.model_facts, MODEL_FACTS)
        task_facts = _shared_facts(history.task_facts, TASK_FACTS)
        columns, names = _architecture_columns(architectures, history.models)
        A = np.hstack([_fact_columns(history.model_facts, model_facts), columns])
        B = _fact_columns(history.task_facts, task_facts)
        if A.shape[1] == 0:
            raise ValueError(
                "the meta phase has nothing to tell models apart: give the history model_facts "
                "with parameters and layers of all models, or fit with architectures, or set "
                "meta_weight=0"
            )
        model_weights, task_weights, intercept = _least_squares(A, B, target)
        fitted = cls(
            model_facts, task_facts, names, model_weights, task_weights, np.array([intercept])
        )
        return fitted, A @ model_weights + intercept

    def model_part(self, name: str, facts: Mapping[str, float], architecture: Any) -> float:
        """Return what a new model adds to its predictions.

        Raises
        ------
        ValueError
            If a fact or the architecture is missing or of another kind.
        """
        if missing := [fact for fact in self.model_facts if fact not in facts]:
            raise ValueError(
                f"facts: {missing[0]} of model {shown(name)} is missing; the meta phase needs it"
            )
        n_columns = len(self.model_weights) - len(self.model_facts)
        if n_columns == 0:
            columns: Any = []
        elif architecture is None:
            raise ValueError(
                f"architecture: that of model {shown(name)} is missing; the meta phase needs it"
            )
        elif self.architecture_names is not None:
            columns = [float(known == architecture) for known in self.architecture_names]
        else:
            columns = np.asarray(architecture, dtype=np.float64)
            if columns.shape != (n_columns,):
                raise ValueError(
                    f"architecture: shape {columns.shape} given; that of fit was ({n_columns},)"
                )
        row = np.concatenate([[facts[fact] for fact in self.model_facts], columns])
        return float(row @ self.model_weights + self.intercept[0])

    def require_task_facts(self, facts: Mapping[str, float]) -> None:
        """Raise ValueError unless all facts that are used are there."""
        if missing := [fact for fact in self.task_facts if fact not in facts]:
            raise ValueError(
                f"facts: {' and '.join(missing)} of the new task are missing; the meta phase was "
                "fitted with them"
            )

    def task_part(self, facts: Mapping[str, float]) -> float:
        """Return what a task adds to all models' predictions."""
        row = np.array([facts[fact] for fact in self.task_facts], dtype=np.float64)
        return float(row @ self.task_weights)

    def names(self) -> dict[str, Any]:
        """Return what is not an array, for JSON."""
        names = self.architecture_names
        return {
            "model_facts": list(self.model_facts),
            "task_facts": list(self.task_facts),
            "architecture_names": None if names is None else list(names),
        }

    def arrays(self) -> dict[str, Matrix]:
        """Return the arrays by name."""
        return {
            "model_weights": self.model_weights,
            "task_weights": self.task_weights,
            "intercept": self.intercept,
        }

    @classmethod
    def restored(cls, saved: SavedState) -> MetaRegression | None:
        """Make it again of `names` and `arrays` in a file, which are checked; None if it has none.

        Raises
        ------
        ValueError
            If one is not as `fit` makes it.
        """
        keys = {"model_facts", "task_facts", "architecture_names"}
        names = saved.value(
            "meta",
            lambda found: found is None or (isinstance(found, dict) and set(found) == keys),
            f"null or an object of {', '.join(sorted(keys))}",
        )
        if names is None:
            return None
        for key, known in (("model_facts", MODEL_FACTS), ("task_facts", TASK_FACTS)):
            found = names[key]
            if not (
                isinstance(found, list)
                and all(isinstance(one, str) and one in known for one in found)
                and len(set(found)) == len(found)
            ):
                raise saved.refused(f"meta.{key}", f"does not list some of {', '.join(known)}")
        kinds = names["architecture_names"]
        if kinds is not None and not (
            isinstance(kinds, list)
            and all(type(one) in (str, int, float, bool) for one in kinds)
            and 0 < len(set(kinds)) == len(kinds)
        ):
            raise saved.refused("meta.architecture_names", "does not list different names")
        n_facts, n_kinds = len(names["model_facts"]), None if kinds is None else len(kinds)
        weights = saved.tensor(
            "meta.model_weights", (None if n_kinds is None else n_facts + n_kinds,)
        )
        if len(weights) < n_facts:
            raise saved.refused(
                "meta.model_weights",
                f"has {len(weights)} numbers, fewer than the {n_facts} facts",
                tensor=True,
            )
        return cls(
            tuple(names["model_facts"]),
            tuple(names["task_facts"]),
            None if kinds is None else tuple(kinds),
            model_weights=weights,
            task_weights=saved.tensor("meta.task_weights", (len(names["task_facts"]),)),
            intercept=saved.tensor("meta.intercept", (1,)),
        )


def _shared_facts(
    facts: Mapping[str, Mapping[str, float]], wanted: tuple[str, ...]
) -> tuple[str, ...]:
    """Those of the wanted facts that all models, or tasks, have."""
    return tuple(fact for fact in wanted if all(fact in row for row in facts.values()))


def _fact_columns(facts: Mapping[str, Mapping[str, float]], chosen: tuple[str, ...]) -> Matrix:
    rows = [[row[fact] for fact in chosen] for row in facts.values()]
    return np.array(rows, dtype=np.float64).reshape(len(facts), len(chosen))


def _architecture_columns(
    architectures: Any, models: tuple[str, ...]
) -> tuple[Matrix, tuple[Any, ...] | None]:
    """Columns (M, e) of the architectures, and their names where they are one-hot."""
    if architectures is None:
        return np.zeros((len(models), 0)), None
    if isinstance(architectures, Mapping):
        if missing := [model for model in models if model not in architectures]:
            raise ValueError(f"architectures: hold none of model {shown(missing[0])}")
        given = np.asarray([architectures[model] for model in models])
    else:
        given = np.asarray(architectures)
    if len(given) != len(models) or given.ndim not in (1, 2):
        raise ValueError(
            f"architectures: shape {given.shape} does not fit {len(models)} models; give one name "
            "or one vector for each"
        )
    if given.ndim == 1:
        names = tuple(np.unique(given).tolist())
        one_hot = [[float(one == name) for name in names] for one in given.tolist()]
        return np.array(one_hot), names
    columns = np.asarray(given, dtype=np.float64)
    if not np.isfinite(columns).all():
        raise ValueError("architectures: hold NaN or infinite values")
    return columns, None


def _least_squares(A: Matrix, B: Matrix, target: Matrix) -> tuple[Matrix, Matrix, float]:
    """Weights of the columns of A (M, a) and B (T, b) and the intercept, on the known pairs.

    The pairs are never listed: their normal equations follow from A, B and the mask.
    """
    known = np.isfinite(target).astype(np.float64)
    values = np.where(known > 0, target, 0.0)
    (A1, a_center, a_scale), (B1, b_center, b_scale) = _standardised(A), _standardised(B)
    A1 = np.hstack([A1, np.ones((len(A1), 1))])
    by_model, by_task = known.sum(axis=1), known.sum(axis=0)
    cross = A1.T @ known @ B1
    gram = np.block([[A1.T * by_model @ A1, cross], [cross.T, B1.T * by_task @ B1]])
    moments = np.concatenate([A1.T @ values.sum(axis=1), B1.T @ values.sum(axis=0)])
    weights = np.linalg.lstsq(gram, moments, rcond=1e-10)[0]
    a = weights[: A.shape[1]] / a_scale
    b = weights[A.shape[1] + 1 :] / b_scale
    return a, b, float(weights[A.shape[1]] - a @ a_center - b @ b_center)


def _standardised(columns: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    center, scale = columns.mean(axis=0), columns.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return (columns - center) / scale, center, scale
