"""Fennec: models and tasks in one transfer space, where an inner product is a transferability.

    J. Bai, S. Wu, J. Song, J. Zhao, G. Chen: "Pre-Trained Model Recommendation for Downstream
    Fine-tuning", arXiv:2403.06382, 2024.

Three phases:

transfer
    The performance matrix P (models x past tasks) is factorised, P ~= U V^T with nothing negative:
    a row of U is a model's place in the transfer space, a row of V a task's. A regressor learns the
    way from the features that one large model, the proxy, has of a task's images to its place.
meta
    A linear regression of P on what is known of a model (parameters, layers, architecture) and of a
    task (images, classes).
merge
    score = (1 - w) u.v + w (meta prediction).

No candidate model runs on a new task: the proxy does, on some unlabelled images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...estimators import Estimator, NotFittedError
from ...files.feature_files import FeatureFile, Pathlike
from ...inputs import arrays
from ...inputs.model_outputs import features_of
from ...kernels.array_namespace import beside, is_tensor, on_host
from ...metrics import canonical_spec
from ...optional_packages import require
from ...text.quoting import several, shown
from ..best_scores import best_first
from ..history import Task, TransferHistory
from ..saved_state import SavedState, is_count, is_number, save_state
from ..scaling import SCALINGS, scaled_matrix, scaled_row
from .factorisation import nonnegative_factors, place_by_some, place_in_factors
from .growing_rows import GrowingRows
from .meta_regression import MetaRegression
from .proxy_regression import REGRESSORS, Regressor, tensors_of

Matrix = NDArray[Any]

DEFAULT_FACTORS = 5


@dataclass(frozen=True)
class Placement:
    """A new task in the transfer space.

    Attributes
    ----------
    vector : (k,) array
    facts : mapping of str to float
        Numbers known of the task, such as ``images`` and ``classes``.
    """

    vector: Matrix
    facts: Mapping[str, float]


class Fennec(Estimator):
    """Recommend models for a new task by their past transfers.

    By default it learns from the performance that the history holds. As published, by
    ``metric="fda_score"``, it does not look at it and learns from scores of features; the other
    defaults are those of the published command, and what goes beyond it is off. What differs from
    the published code in any case: the proxy images of a task are drawn from all of its images
    alike, not evenly over its classes, since no labels are needed here; and their features are what
    the caller's proxy gives.

    Parameters
    ----------
    metric : str or None, default None
        What fills the performance matrix: with None the performance that the history holds, which
        may have gaps; or a metric's score of every model's features of every past task, which needs
        no fine-tuning, as published with "fda_score".
    n_factors : int, optional
        Dimensions k of the transfer space, at most the numbers of models and of tasks. By default
        5, or as many as there can be.
    meta_weight : float, default 0.5
        w of the merge, in [0, 1]. With 0 no facts are needed.
    regressor : {"forest", "ridge", "neighbours"}
        From proxy features to places: the published random forest over single images; or ridge
        regression on the mean image of each task, its penalty chosen by leaving one task out; or
        the mean of the past tasks' places, weighted by how alike the tasks' images are.
    scaling : {"none", "unit", "rank"}
        What is done with each task's performances before they are factorised: nothing, as
        published; scaled to [0, 1]; or replaced by the models' ranks in (0, 1). Without scaling
        none may be negative, and hard and easy tasks weigh by their level more than by what tells
        the models apart.
    n_trees : int, default 25
        Trees of the forest.
    proxy_images : int or None, default 100
        Images drawn from each task's proxy features; None takes all.
    max_iter : int, default 1000
        Sweeps of the factorisation, at most.
    regularisation : float, default 0
        Of the factorisation.
    seed : int, default 2023
    backend : str, optional
        Force a backend for the metric.

    Attributes
    ----------
    models_, tasks_ : tuple of str
    performance_ : (M, T) array
        The matrix, gaps NaN, before scaling.
    model_vectors_ : (M, k) array
        U.
    task_vectors_ : (T, k) array
        V.
    scoring_vectors_ : (M, k) or (M, k + 1) array
        [(1 - w) U | w times the meta phase's part of each model]: what a placed task is multiplied
        by. A tensor after `to`.
    reconstruction_error_ : float
        Root mean square of P - U V^T where P is known, after scaling.

    References
    ----------
    Bai et al., "Pre-Trained Model Recommendation for Downstream Fine-tuning", arXiv:2403.06382,
    2024.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> kinds = [0.1, 0.9, 0.2, 0.8, 0.5]  # what tells the tasks apart
    >>> history = TransferHistory(
    ...     ["specialist", "generalist", "other specialist"],
    ...     ["a", "b", "c", "d", "e"],
    ...     [[1 - x for x in kinds], [0.6] * 5, kinds],
    ...     proxies={t: rng.normal(x, 0.1, (40, 8)) for t, x in zip("abcde", kinds)},
    ... )
    >>> past, new = history.without_task("d"), history.task("d")
    >>> fennec = Fennec(n_factors=2, meta_weight=0).fit(past)
    >>> list(fennec.recommend(new, k=1))
    ['other specialist']
    """

    n_features_in_: int

    def __init__(
        self,
        metric: str | None = None,
        n_factors: int | None = None,
        meta_weight: float = 0.5,
        regressor: str = "forest",
        scaling: str = "none",
        n_trees: int = 25,
        proxy_images: int | None = 100,
        max_iter: int = 1000,
        regularisation: float = 0.0,
        seed: int = 2023,
        backend: str | None = None,
    ):
        self.metric = metric
        self.n_factors = n_factors
        self.meta_weight = meta_weight
        self.regressor = regressor
        self.scaling = scaling
        self.n_trees = n_trees
        self.proxy_images = proxy_images
        self.max_iter = max_iter
        self.regularisation = regularisation
        self.seed = seed
        self.backend = backend

    # ------------------------------------------------------------------ fit

    def fit(self, history: TransferHistory, architectures: Any = None) -> Fennec:
        """Learn the transfer space and the meta regression.

        Parameters
        ----------
        history : TransferHistory
            With a ``metric``, it must have a source of the models' features. If it has proxies,
            the regressor is fitted to them; without, `place` needs performances.
        architectures : (M, e) array, sequence or mapping by model, optional
            For the meta phase, what each model's architecture is: vectors, such as the embedding
            of `archi2vec`, or names, such as its clusters, which become one-hot columns.

        Raises
        ------
        ValueError
            If an option is out of range, the matrix holds a negative value and is not scaled, a
            model or task has no known performance, there are fewer models or tasks than factors,
            or the meta phase has nothing to go by.
        """
        self._check_options()
        scored = (
            history if self.metric is None else history.scored(self.metric, backend=self.backend)
        )
        performance, known = scored.performance, scored.known
        _require_some_known(scored)
        k = self._checked_factors(*performance.shape)
        scaled = scaled_matrix(performance, self.scaling)
        _require_nonnegative(scaled, scored)
        factors = nonnegative_factors(
            scaled, k, known, max_iter=self.max_iter, regularisation=self.regularisation
        )
        self.models_, self.tasks_ = scored.models, scored.tasks
        self._places = {model: m for m, model in enumerate(scored.models)}
        self._rooms: dict[str, GrowingRows] = {}
        self.performance_ = performance
        self.model_vectors_ = factors.rows
        self.task_vectors_ = factors.columns
        self.reconstruction_error_ = factors.error
        self.n_iter_ = factors.n_iter
        self.meta_: MetaRegression | None = None
        meta_parts = None
        if self.meta_weight > 0:
            self.meta_, meta_parts = MetaRegression.fit(scored, scaled, architectures)
        self.scoring_vectors_: Any = self._scoring(self.model_vectors_, meta_parts)
        self.regressor_: Regressor | None = None
        if history.has_proxies:
            self.regressor_ = self._fit_regressor(history)
        return self

    def _scoring(self, vectors: Matrix, meta_parts: Matrix | None) -> Matrix:
        if meta_parts is not None:
            w = float(self.meta_weight)
            vectors = np.hstack([(1.0 - w) * vectors, w * meta_parts[:, None]])
        # A product with few long columns takes a tenth of the time of one with many short rows.
        return np.asfortranarray(vectors)

    def _fit_regressor(self, history: TransferHistory) -> Regressor:
        images = [self._proxy_images(history.proxy(task), task) for task in self.tasks_]
        widths = {x.shape[1] for x in images}
        if len(widths) > 1:
            raise ValueError(
                f"proxies: features of {' and '.join(map(str, sorted(widths)))} columns; all tasks "
                "need those of one and the same model"
            )
        fit = REGRESSORS[self.regressor].fit
        return fit(images, self.task_vectors_, n_trees=self.n_trees, seed=self.seed)

    def _proxy_images(self, found: FeatureFile, task: str) -> Matrix:
        name = f"proxy features of task {shown(task)}"
        X = on_host(arrays.as_features(features_of(found.features), name))
        if not np.isfinite(X).all():
            row, column = np.argwhere(~np.isfinite(X))[0]
            arrays.refuse_nonfinite((row, column), X, name)
        if self.proxy_images is None or len(X) <= self.proxy_images:
            return X
        generator = np.random.default_rng(self.seed)
        return X[np.sort(generator.permutation(len(X))[: self.proxy_images])]

    # ------------------------------------------------------------------ use

    def place(
        self,
        task: Task | Any = None,
        *,
        facts: Mapping[str, float] | None = None,
        performance: Mapping[str, float] | None = None,
    ) -> Placement:
        """Find the place of a new task.

        Parameters
        ----------
        task : Task or (n, d) array, optional
            The task with its proxy features, or these alone, unlabelled.
        facts : mapping of str to float, optional
            Such as ``{"images": 5640, "classes": 47}``; by default those of the task.
        performance : mapping of str to float, optional
            Instead of proxy features, the performance of some models on the new task, in the unit
            of the matrix: its place is the most likely one, by these and the past tasks' places.

        Raises
        ------
        ValueError
            If there are neither proxy features nor performances, their number of columns is not
            that of `fit`, a model is unknown, or a fact that the meta phase uses is missing.
        """
        self._require_fitted()
        if facts is None:
            facts = task.facts if isinstance(task, Task) else {}
        if self.meta_ is not None:
            self.meta_.require_task_facts(facts)
        if performance is not None:
            return Placement(self._place_by_performance(performance), dict(facts))
        if task is None:
            raise ValueError("task: give its proxy features, or the performance of some models")
        if self.regressor_ is None:
            raise ValueError(
                "this Fennec was fitted to a history without proxy features; fit it to one with "
                "them, or place the task by the performance of some models"
            )
        name = task.name if isinstance(task, Task) else "new"
        found = task.proxy() if isinstance(task, Task) else FeatureFile(task)
        images = self._proxy_images(found, name)
        if images.shape[1] != self.regressor_.n_features:
            raise ValueError(
                f"proxy features of task {shown(name)} have {images.shape[1]} columns, but Fennec "
                f"was fitted with {self.regressor_.n_features}; use the same large model"
            )
        return Placement(self.regressor_.place(images), dict(facts))

    def _place_by_performance(self, performance: Mapping[str, float]) -> Matrix:
        if self.scaling != "none":
            raise ValueError(
                f"performance: cannot be compared with a matrix of scaling {shown(self.scaling)}; "
                "place the task by proxy features, or fit without scaling"
            )
        rows = [self._model_index(model) for model in performance]
        values = _vector(performance, "performance")
        return place_by_some(
            self.model_vectors_[rows], values, self.task_vectors_, self.reconstruction_error_
        )

    def score(self, task: Task | Placement | Any) -> Any:
        """Return the scores of all models (M,), in the order of ``models_``.

        One inner product for each model, where the scoring vectors are (see `to`).

        Parameters
        ----------
        task : Task, Placement or (n, d) array
            A new task with its proxy features, these alone, or what `place` gave.
        """
        placement = task if isinstance(task, Placement) else self.place(task)
        if self.meta_ is None:
            return self.scoring_vectors_ @ beside(self.scoring_vectors_, placement.vector)
        # The last factor of a placed task multiplies the meta phase's part of each model.
        vector = np.append(placement.vector, 1.0)
        scores = self.scoring_vectors_ @ beside(self.scoring_vectors_, vector)
        scores += self.meta_weight * self.meta_.task_part(placement.facts)
        return scores

    def recommend(self, task: Task | Placement | Any, k: int | None = None) -> dict[str, float]:
        """Return the best k models with their scores, best first; all by default.

        Among equal scores the model listed first is first.

        Parameters
        ----------
        task : Task, Placement or (n, d) array
            As for `score`.
        k : int, optional

        Returns
        -------
        dict
            Model to score.

        Raises
        ------
        ValueError
            If k is less than 1 or more than there are models; else as `place` raises.
        """
        self._require_fitted()
        n_models = len(self.models_)
        if k is None:
            k = n_models
        arrays.require_positive_integer(k, "k")
        if k > n_models:
            raise ValueError(f"k={k} is out of range: there are {n_models} models")
        scores = self.score(task)
        best = best_first(scores, k)
        values = on_host(scores[beside(scores, best)]).tolist()
        return {self.models_[m]: value for m, value in zip(best.tolist(), values, strict=True)}

    def add_model(
        self,
        name: str,
        performance: Mapping[str, float] | None = None,
        *,
        features: Mapping[str, Any] | None = None,
        facts: Mapping[str, float] | None = None,
        architecture: Any = None,
    ) -> Fennec:
        """Add a model to the space, everything else as it is; returns self.

        Parameters
        ----------
        name : str
        performance : mapping of str to float, optional
            Its performance on some of the past tasks, in the unit of the matrix.
        features : mapping of str to (features, labels), optional
            Instead, its features of some of the past tasks, scored by the metric.
        facts : mapping of str to float, optional
            Of the model, as the meta phase uses them.
        architecture : str, int or (e,) array, optional
            Of the kind given to `fit`; a name that did not occur there counts as none of them.

        Raises
        ------
        ValueError
            If the name is taken, a task is unknown, nothing is known of the model, or what the
            meta phase needs is missing.
        """
        self._require_fitted()
        if name in self._places_by_name():
            raise ValueError(f"model {shown(name)} is there already")
        values = self._performance_of_new(name, performance, features)
        row = np.full(len(self.tasks_), np.nan)
        for task, value in values.items():
            if task not in self.tasks_:
                raise ValueError(f"task {shown(task)} is unknown; there are {several(self.tasks_)}")
            row[self.tasks_.index(task)] = value
        known = np.isfinite(row)
        scaled = scaled_row(row, self.performance_, self.scaling)
        if (scaled[known] < 0).any():
            raise ValueError(
                f"performance: that of model {shown(name)} holds negative values; a Fennec without "
                "scaling takes none"
            )
        vector = place_in_factors(self.task_vectors_[known], scaled[known])
        part = None
        if self.meta_ is not None:
            part = np.array([self.meta_.model_part(name, facts or {}, architecture)])
        added = self._scoring(vector[None], part)
        self.scoring_vectors_ = self._grown("scoring", self.scoring_vectors_, added)
        self.model_vectors_ = self._grown("model", self.model_vectors_, vector[None])
        self.performance_ = self._grown("performance", self.performance_, row[None])
        self._places_by_name()[name] = len(self.models_)
        self.models_ = (*self.models_, name)
        return self

    def _grown(self, what: str, matrix: Any, row: Matrix) -> Any:
        """The matrix with one row (1, k) more; the second time on without copying it."""
        if is_tensor(matrix):
            return _appended(matrix, row)
        rooms = self.__dict__.setdefault("_rooms", {})
        if what not in rooms or not rooms[what].holds(matrix):
            rooms[what] = GrowingRows(matrix)
        return rooms[what].append(row[0])

    def _places_by_name(self) -> dict[str, int]:
        """Model to row; made anew where it does not fit, as in a copy that went its own way."""
        known: dict[str, int] = self.__dict__.setdefault("_places", {})
        if len(known) != len(self.models_):
            known = self._places = {model: m for m, model in enumerate(self.models_)}
        return known

    def _performance_of_new(
        self, name: str, performance: Mapping[str, float] | None, features: Any
    ) -> Mapping[str, float]:
        if (performance is None) == (features is None):
            raise ValueError(f"model {shown(name)}: give either its performance or its features")
        if performance is None:
            from ...metrics import metric_call, score

            if self.metric is None:
                raise ValueError(
                    f"features: this Fennec holds performances, not scores of features; give the "
                    f"performance of model {shown(name)}"
                )
            call = metric_call(self.metric)
            if call.metric.parts:
                raise ValueError(
                    f"features: {call.spec} compares models; fit a Fennec to the history of all, "
                    f"or give the performance of model {shown(name)}"
                )
            performance = {
                task: score(X, labels, call, backend=self.backend)[call.spec]
                for task, (X, labels) in features.items()
            }
        _vector(performance, "performance")
        return performance

    def to(self, device: str) -> Fennec:
        """Score on a device such as "cuda", with the scoring vectors as a tensor; returns self.

        ``"host"`` gives NumPy arrays again.

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        """
        self._require_fitted()
        columns = on_host(self.scoring_vectors_).T
        self.scoring_vectors_ = (columns if device == "host" else _tensor(columns, device)).T
        return self

    # ------------------------------------------------------------------ save and load

    def save(self, folder: Pathlike) -> None:
        """Write ``fennec.json`` and ``fennec.safetensors`` into a folder, made if need be.

        Raises
        ------
        ImportError
            If safetensors is not installed.
        """
        self._require_fitted()
        tensors = {
            "model_vectors": self.model_vectors_,
            "scoring_vectors": on_host(self.scoring_vectors_),
            "task_vectors": self.task_vectors_,
            "performance": self.performance_,
        }
        content: dict[str, Any] = {
            "options": self.get_params(),
            "models": list(self.models_),
            "tasks": list(self.tasks_),
            "reconstruction_error": self.reconstruction_error_,
            "n_iter": self.n_iter_,
            "regressor": None,
            "meta": None,
        }
        if self.regressor_ is not None:
            content["regressor"] = self.regressor_.kind
            for name, array in tensors_of(self.regressor_).items():
                tensors[f"regressor.{name}"] = array
        if self.meta_ is not None:
            content["meta"] = self.meta_.names()
            for name, array in self.meta_.arrays().items():
                tensors[f"meta.{name}"] = array
        save_state(folder, "fennec", content, tensors)

    @classmethod
    def load(cls, folder: Pathlike) -> Fennec:
        """Read what `save` has written. No code can hide in these files.

        Raises
        ------
        ValueError
            If anything in the files is not as `save` writes it, or they are of a later version.
        FileNotFoundError
            If one is missing.
        """
        saved = SavedState(folder, "fennec")
        fennec = saved.options(list(cls().get_params()), cls._of_options)
        fennec.models_, fennec.tasks_ = saved.names("models"), saved.names("tasks")
        n_models, n_tasks = len(fennec.models_), len(fennec.tasks_)
        fennec.reconstruction_error_ = saved.value(
            "reconstruction_error",
            lambda error: is_number(error) and error >= 0,
            "a finite number of at least 0",
        )
        fennec.n_iter_ = saved.value("n_iter", is_count, "a count")
        fennec.performance_ = saved.tensor("performance", (n_models, n_tasks), gaps=True)
        fennec.model_vectors_ = saved.tensor("model_vectors", (n_models, None), low=0.0)
        k = fennec.model_vectors_.shape[1]
        fennec.task_vectors_ = saved.tensor("task_vectors", (n_tasks, k), low=0.0)
        kind = saved.value(
            "regressor",
            lambda kind: kind is None or (isinstance(kind, str) and kind in REGRESSORS),
            f"null or one of {', '.join(map(repr, REGRESSORS))}",
        )
        fennec.regressor_ = None if kind is None else REGRESSORS[kind].restored(saved, n_tasks, k)
        fennec.meta_ = MetaRegression.restored(saved)
        width = k if fennec.meta_ is None else k + 1
        scoring = saved.tensor("scoring_vectors", (n_models, width))
        fennec.scoring_vectors_ = np.asfortranarray(scoring)
        saved.finish()
        return fennec

    @classmethod
    def _of_options(cls, options: Mapping[str, Any]) -> Fennec:
        """Return an unfitted Fennec of options that a file holds."""
        for name, kinds, kind in (
            ("metric", (str, NoneType), "a text or null"),
            ("backend", (str, NoneType), "a text or null"),
            ("regressor", (str,), "a text"),
            ("scaling", (str,), "a text"),
            ("meta_weight", (int, float), "a number"),
            ("regularisation", (int, float), "a number"),
        ):
            if type(options[name]) not in kinds:
                raise TypeError(f"{name}: {shown(options[name])} given; it is {kind}")
        if not is_count(options["seed"]):
            raise ValueError(
                f"seed: {shown(options['seed'])} given; it is an integer of at least 0"
            )
        if options["metric"] is not None:
            canonical_spec(options["metric"])
        fennec = cls(**options)
        fennec._check_options()
        return fennec

    # ------------------------------------------------------------------ checks

    def _check_options(self) -> None:
        if not 0.0 <= self.meta_weight <= 1.0:
            raise ValueError(f"meta_weight={self.meta_weight} is out of range: it lies in [0, 1]")
        if self.regressor not in REGRESSORS:
            known = several(REGRESSORS)
            raise ValueError(f"regressor: {shown(self.regressor)} given; it is one of {known}")
        if self.scaling not in SCALINGS:
            known = several(SCALINGS)
            raise ValueError(f"scaling: {shown(self.scaling)} given; it is one of {known}")
        if not 0.0 <= self.regularisation < np.inf:
            raise ValueError(
                f"regularisation={self.regularisation} is out of range: it is finite and at least 0"
            )
        for name in ("n_trees", "max_iter"):
            arrays.require_positive_integer(getattr(self, name), name)
        for name in ("n_factors", "proxy_images"):
            if getattr(self, name) is not None:
                arrays.require_positive_integer(getattr(self, name), name)

    def _checked_factors(self, n_models: int, n_tasks: int) -> int:
        most = min(n_models, n_tasks)
        if self.n_factors is None:
            return min(DEFAULT_FACTORS, most)
        if self.n_factors > most:
            raise ValueError(
                f"n_factors={self.n_factors} is out of range: {n_models} models and {n_tasks} past "
                f"tasks allow at most {most}"
            )
        return int(self.n_factors)

    def _require_fitted(self) -> None:
        if not hasattr(self, "model_vectors_"):
            raise NotFittedError("this Fennec is not fitted yet; call fit first")

    def _model_index(self, model: str) -> int:
        places = self._places_by_name()
        if model not in places:
            raise ValueError(f"model {shown(model)} is unknown; it was not in the history of fit")
        return places[model]


# ---------------------------------------------------------------------------- helpers


def _require_some_known(history: TransferHistory) -> None:
    for names, known, kind in (
        (history.models, history.known.any(axis=1), "model"),
        (history.tasks, history.known.any(axis=0), "task"),
    ):
        if not known.all():
            raise ValueError(
                f"performance: none is known of {kind} {shown(names[int(np.argmin(known))])}; "
                "leave it out, or let a metric of features fill the matrix, as metric='fda_score'"
            )


def _require_nonnegative(scaled: Matrix, history: TransferHistory) -> None:
    if np.nanmin(scaled) < 0:
        m, t = np.argwhere(scaled < 0)[0]
        raise ValueError(
            f"performance: that of model {shown(history.models[m])} on task "
            f"{shown(history.tasks[t])} is {scaled[m, t]}, but a non-negative factorisation takes "
            "no negative values; use scaling='unit' or 'rank'"
        )


def _vector(values: Mapping[str, float], name: str) -> Matrix:
    if not isinstance(values, Mapping) or not values:
        raise ValueError(f"{name}: a mapping from names to numbers is needed, with at least one")
    vector = np.array(list(values.values()), dtype=np.float64)
    if not np.isfinite(vector).all():
        worst = list(values)[int(np.argmin(np.isfinite(vector)))]
        raise ValueError(f"{name}: that of {shown(worst)} is not finite; leave it out")
    return vector


def _appended(tensor: Any, rows: Matrix) -> Any:
    import torch

    return torch.cat([tensor.T, torch.as_tensor(rows, device=tensor.device).T], dim=1).T


def _tensor(array: Matrix, device: str) -> Any:
    use = f"scoring on {device!r}"
    torch = require("torch", "Tensor", use=use, extra="recommend", title="PyTorch")
    return torch.tensor(array, device=device)
