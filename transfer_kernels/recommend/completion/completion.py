"""Complete a new task's column of models from the past and from a few models that are run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...estimators import Estimator, NotFittedError
from ...files.array_files import Pathlike
from ...inputs import arrays
from ...text.quoting import shown
from ..history import Task, TransferHistory
from ..saved_state import LARGEST, SavedState, is_count, is_number, save_state
from .normal_scores import score_columns
from .past_columns import MAX_SWEEPS, PastColumns, even_weights, learn_columns
from .proxy_kernel import ProxyKernel
from .search import PERFORMANCE, Search
from .views import Views, joined, learn_views, stacked_scores

Matrix = NDArray[Any]

#: From so many models on the covariance is held by this rank, if no other is asked for.
MANY_MODELS = 10_000
RANK_OF_MANY = 32

TaskScores = Mapping[str, Mapping[str, float]]


class Completion(Estimator):
    """Recommend models for a new task by the past, and by a metric of the few that are run.

    A task's column of normal scores (its performances, ranked, as normal quantiles) over M models
    is taken as Gaussian: its mean is that of the past columns, its covariance over the models
    theirs around the mean of the others, shrunk as Ledoit and Wolf do, gaps filled by EM. A
    metric's score of a model that was run is a noisy view of its entry, whose slope, offsets, noise
    and scale are learnt on past tasks. So a score of one model tells of its kin too, and the search
    knows what to run next. Beside this belief stand two that know less: one that takes from the
    past only which models are alike (mean 0, the same covariance), and one that takes nothing
    (every entry N(0, 1) on its own). Each counts as far as it makes the scores told likely.

    Needs NumPy and SciPy alone.

    Parameters
    ----------
    rank : int, optional
        Factors of the covariance. By default as many as there are past tasks, for more than
        10 000 models at most 32; what they leave out goes to the diagonal.
    proxies : bool, default False
        Let the mean weigh past tasks by how alike the proxy's features of their images are to the
        new task's (a kernel, its bandwidth chosen by leaving one past task out). Then the history
        needs proxies, and `start` the task.
    past_weight : float, default 0.8
        How far the past is believed before anything is told, in (0, 1]; the two other beliefs share
        the rest. 1 believes the past whatever the scores say.
    max_sweeps : int, default 30
        Of the EM, at most.

    Attributes
    ----------
    models_, tasks_ : tuple of str
        Models, and past tasks that order at least two of them.
    columns_ : (M, T) array
        Normal scores of the past, gaps at their expectations.
    view_names_ : tuple of str
        The metrics, and "performance".
    slopes_ : dict of str to float
        Of each: the correlation with the columns, 1 for one that orders as they do.
    n_sweeps_ : int
        Of the EM.

    Notes
    -----
    Fitting costs M T² operations without gaps; with gaps, each sweep some M T r² and for more than
    500 models 25 M T², for less M³ T. A recommendation costs M r², and n (r + K)² for the n models
    that were told of K metrics.

    A column with gaps is scored among the models it knows; their level among all models is part of
    what the EM finds, their spread is not: where only the best were tried, differences between
    these are overrated.

    References
    ----------
    This recommender is ours. Its parts: O. Ledoit, M. Wolf, "A well-conditioned estimator for
    large-dimensional covariance matrices", Journal of Multivariate Analysis, 2004; N. Srinivas, A.
    Krause, S. Kakade, M. Seeger, "Gaussian process optimization in the bandit setting", ICML 2010
    (upper confidence bounds).

    Examples
    --------
    >>> history = TransferHistory(
    ...     ["texture net", "another texture net", "shape net", "another shape net"],
    ...     ["leaves", "fabrics", "signs", "letters", "stones"],
    ...     [
    ...         [0.9, 0.8, 0.3, 0.2, 0.8],
    ...         [0.8, 0.7, 0.2, 0.1, 0.9],
    ...         [0.2, 0.3, 0.9, 0.8, 0.1],
    ...         [0.1, 0.2, 0.8, 0.9, 0.3],
    ...     ],
    ... )
    >>> completion = Completion().fit(history)
    >>> search = completion.start()
    >>> search.tell("texture net", 0.2).tell("shape net", 0.7)
    Search(2 of 4 models told)
    >>> list(search.recommend(k=2))
    ['shape net', 'another shape net']
    """

    def __init__(
        self,
        rank: int | None = None,
        proxies: bool = False,
        past_weight: float = 0.8,
        max_sweeps: int = MAX_SWEEPS,
    ):
        self.rank = rank
        self.proxies = proxies
        self.past_weight = past_weight
        self.max_sweeps = max_sweeps

    # ------------------------------------------------------------------ fit

    def fit(
        self,
        history: TransferHistory,
        scores: TaskScores | Mapping[str, TaskScores] | None = None,
    ) -> Completion:
        """Learn from past transfers, and how a metric sees them.

        Parameters
        ----------
        history : TransferHistory
            With performances; gaps are allowed. Tasks that order no two models are passed over.
        scores : mapping, optional
            A metric's scores of the past tasks, task to model to score, where it is known; or
            several metrics', name to such a mapping. Without it `Search.tell` takes performances.

        Raises
        ------
        ValueError
            If an option is out of range, no task orders two models, a metric's name is
            "performance", or nothing can be learnt of it; if proxies are asked for and missing.
        """
        self._check_options()
        metrics = as_metrics(scores)
        columns = score_columns(history.performance)
        useful = np.asarray(np.isfinite(columns).any(axis=0))
        if not useful.any():
            raise ValueError(
                "history: no task has two models of different known performance; give performances"
            )
        tasks = [task for task, use in zip(history.tasks, useful.tolist(), strict=True) if use]
        if not useful.all():
            columns = columns[:, useful]
        M, T = columns.shape
        kernel = ProxyKernel.of_history(history, tasks) if self.proxies else None
        known = history.performance[None, :, useful]
        views = learn_views([PERFORMANCE], known, columns, truth=True)
        if metrics:
            stacked = stacked_scores(metrics, history.models, tasks)
            views = joined(learn_views(list(metrics), stacked, columns), views)
        rank = self.rank
        if rank is None:
            rank = min(T, M, RANK_OF_MANY) if M > MANY_MODELS else min(T, M)

        def left_out_weights(filled: Matrix) -> Matrix:
            if kernel is None:
                return even_weights(T)
            return kernel.fitted(filled).left_out_weights()

        self._past = learn_columns(columns, rank, left_out_weights, self.max_sweeps)
        self._kernel = None if kernel is None else kernel.fitted(self._past.columns)
        self._keep(history.models, tuple(tasks), views)
        return self

    def _keep(self, models: tuple[str, ...], tasks: tuple[str, ...], views: Views) -> None:
        self.models_, self.tasks_ = models, tasks
        self._views = views
        self._at = {model: m for m, model in enumerate(models)}
        self.columns_ = self._past.columns
        self.n_sweeps_ = self._past.n_sweeps
        self.view_names_ = views.names
        self.slopes_ = dict(zip(views.names, views.slope.tolist(), strict=True))

    # ------------------------------------------------------------------ use

    def start(
        self,
        task: Task | None = None,
        *,
        costs: Mapping[str, float] | None = None,
        budget: float | None = None,
        kappa: float = 1.0,
    ) -> Search:
        """Begin with a new task of which no model was run.

        Parameters
        ----------
        task : Task, optional
            With the proxy's features; needed with ``proxies``, else not looked at.
        costs : mapping of str to float, optional
            What running each model costs, in any unit, such as seconds; 1 by default.
        budget : float, optional
            What all runs together may cost, in the same unit.
        kappa : float, default 1
            How many standard deviations `Search.next_model` adds to what is expected: 0 runs what
            seems best, more explores.

        Raises
        ------
        ValueError
            If costs, budget or kappa are out of range, or the proxy's features are missing.
        """
        if not hasattr(self, "models_"):
            raise NotFittedError("this Completion is not fitted yet; call fit first")
        if not (np.isfinite(kappa) and kappa >= 0):
            raise ValueError(f"kappa: {kappa} given; it is finite and at least 0")
        T = len(self.tasks_)
        weights = np.full(T, 1.0 / T)
        if self._kernel is not None:
            if task is None:
                raise ValueError(
                    "task: this Completion weighs past tasks by the proxy's features; give the "
                    "new task with those of it, or fit with proxies=False"
                )
            weights = self._kernel.weights(task)
        return Search(
            self.models_,
            self._at,
            self._past.prior(weights),
            self._views,
            past_weight=float(self.past_weight),
            costs=costs,
            budget=budget,
            kappa=float(kappa),
        )

    def recommend(self, task: Task | None = None, k: int | None = None) -> dict[str, float]:
        """Return the best k models by the past alone, as `Search.recommend` does; all by default.

        Parameters
        ----------
        task : Task, optional
            As for `start`.
        k : int, optional
        """
        return self.start(task).recommend(k)

    # ------------------------------------------------------------------ save and load

    def save(self, folder: Pathlike) -> None:
        """Write ``completion.json`` and ``completion.safetensors`` into a folder, made if need be.

        Raises
        ------
        ImportError
            If safetensors is not installed.
        """
        if not hasattr(self, "models_"):
            raise NotFittedError("this Completion is not fitted yet; call fit first")
        views, past = self._views, self._past
        tensors = {
            "columns": past.columns,
            "counts": past.counts.astype(np.int64),
            "noise": past.noise,
            "views.slope": views.slope,
            "views.offsets": views.offsets,
            "views.noise": views.noise,
            "views.flat_noise": views.flat_noise,
            "views.log_scale": views.log_scale,
            "views.log_scale_spread": views.log_scale_spread,
        }
        if past.factors.shape[1]:  # files hold no arrays without elements
            tensors["factors"] = past.factors
        if self._kernel is not None:
            tensors["kernel.descriptions"] = self._kernel.descriptions
            tensors["kernel.center"] = self._kernel.center
            tensors["kernel.scale"] = self._kernel.scale
        content = {
            "options": self.get_params(),
            "models": list(self.models_),
            "tasks": list(self.tasks_),
            "views": list(views.names),
            "n_sweeps": past.n_sweeps,
            "rank": past.factors.shape[1],
            "bandwidth": None if self._kernel is None else self._kernel.bandwidth,
        }
        save_state(folder, "completion", content, tensors)

    @classmethod
    def load(cls, folder: Pathlike) -> Completion:
        """Read what `save` has written. No code can hide in these files.

        Raises
        ------
        ValueError
            If anything in the files is not as `save` writes it, or they are of a later version.
        FileNotFoundError
            If one is missing.
        """
        saved = SavedState(folder, "completion")
        completion = saved.options(list(cls().get_params()), cls._of_options)
        models, tasks = saved.names("models"), saved.names("tasks")
        names = saved.names("views")
        M, T, K = len(models), len(tasks), len(names)
        rank = saved.value("rank", is_count, "a count")
        above_0 = 1.0 / LARGEST
        completion._past = PastColumns(
            saved.tensor("columns", (M, T)),
            saved.tensor("counts", (M,), np.int64, low=0, high=T),
            saved.tensor("factors", (M, rank)) if rank else np.zeros((M, 0)),
            saved.tensor("noise", (M,), low=above_0),
            saved.value("n_sweeps", is_count, "a count"),
        )
        views = Views(
            names,
            saved.tensor("views.slope", (K,)),
            saved.tensor("views.offsets", (M, K)),
            _restored_covariance(saved, "views.noise", K),
            _restored_covariance(saved, "views.flat_noise", K),
            saved.tensor("views.log_scale", (K,), low=-300.0, high=300.0),
            saved.tensor("views.log_scale_spread", (K,), low=above_0, high=300.0),
        )
        bandwidth = saved.value(
            "bandwidth",
            lambda found: found is None or (is_number(found) and found > 0),
            "null or a number above 0",
        )
        completion._kernel = None
        if bandwidth is not None:
            descriptions = saved.tensor("kernel.descriptions", (T, None))
            width = descriptions.shape[1]
            if width % 2:
                raise saved.refused(
                    "kernel.descriptions",
                    f"has {width} columns, not an even number: means, then deviations",
                    tensor=True,
                )
            completion._kernel = ProxyKernel(
                descriptions,
                saved.tensor("kernel.center", (width,)),
                saved.tensor("kernel.scale", (width,), low=above_0),
                float(bandwidth),
            )
        if (bandwidth is not None) != completion.proxies:
            raise saved.refused("bandwidth", "does not fit the option proxies")
        saved.finish()
        completion._keep(models, tasks, views)
        return completion

    @classmethod
    def _of_options(cls, options: Mapping[str, Any]) -> Completion:
        """Return an unfitted Completion of options that a file holds."""
        if type(options["proxies"]) is not bool:
            raise TypeError(f"proxies: {shown(options['proxies'])} given; it is true or false")
        if not is_number(options["past_weight"]):
            raise TypeError(f"past_weight: {shown(options['past_weight'])} given; it is a number")
        completion = cls(**options)
        completion._check_options()
        return completion

    def _check_options(self) -> None:
        if self.rank is not None:
            arrays.require_positive_integer(self.rank, "rank")
        arrays.require_positive_integer(self.max_sweeps, "max_sweeps")
        if not 0.0 < self.past_weight <= 1.0:
            raise ValueError(
                f"past_weight={self.past_weight} is out of range: it lies in (0, 1]; to trust the "
                "scores alone, rank by them"
            )


def as_metrics(
    scores: TaskScores | Mapping[str, TaskScores] | None,
) -> dict[str, TaskScores]:
    """Return scores by metric, task and model, whichever way they were given."""
    if scores is None:
        return {}
    if not isinstance(scores, Mapping) or not scores:
        raise ValueError("scores: a mapping from tasks to models' scores is needed, with one task")
    rows = list(scores.values())
    if not all(isinstance(row, Mapping) for row in rows):
        raise TypeError("scores: each task's are a mapping from models to numbers")
    inner = [value for row in rows for value in row.values()]
    if inner and all(isinstance(value, Mapping) for value in inner):
        metrics: dict[str, Any] = dict(scores)
    else:
        metrics = {"score": scores}
    if PERFORMANCE in metrics:
        raise ValueError(
            f"scores: {PERFORMANCE!r} is what the history tells; give the metric another name"
        )
    return metrics


def _restored_covariance(saved: SavedState, name: str, size: int) -> Matrix:
    found = saved.tensor(name, (size, size))
    symmetric = np.array_equal(found, found.T)
    if not symmetric or np.linalg.eigvalsh(found).min() <= 0.0:
        raise saved.refused(name, "is no covariance: symmetric, positive definite", tensor=True)
    return found
