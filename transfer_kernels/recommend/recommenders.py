"""The recommenders as callables for `transfer_kernels.evaluation.yardstick.leave_one_task_out`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..text.quoting import shown
from .history import Task, TransferHistory

if TYPE_CHECKING:
    from ..evaluation.ranked import Ranked
    from ..evaluation.yardstick import Recommender
    from .model_spider.task_samples import TaskSample


def by_fennec(
    scored: TransferHistory | None = None, architectures: Any = None, **options: Any
) -> Recommender:
    """Return a recommender that fits `Fennec` to the past and places the new task by its proxy.

    Parameters
    ----------
    scored : TransferHistory, optional
        A history of the same models and tasks whose performance is what Fennec is to learn from,
        such as ``history.scored("fda_score")``, so that it is made once for all held-out tasks; the
        column of the held-out task is taken out. By default Fennec makes its matrix each time.
    architectures
        As for `Fennec.fit`.
    **options
        Of `Fennec`.
    """
    from . import fennec  # noqa: F401  what it lacks is told now

    return partial(_by_fennec, scored, architectures, options)


def _by_fennec(
    scored: TransferHistory | None,
    architectures: Any,
    options: Mapping[str, Any],
    past: TransferHistory,
    task: Task,
) -> dict[str, float]:
    from .fennec.fennec import Fennec

    if scored is None:
        return Fennec(**options).fit(past, architectures).recommend(task)
    matrix = scored.subset(past.models, past.tasks)
    return Fennec(**{**options, "metric": None}).fit(matrix, architectures).recommend(task)


def by_model_spider(
    samples: Sequence[TaskSample] | None = None, budget: int = 0, **options: Any
) -> Recommender:
    """Return a recommender that fits `ModelSpider` to the past.

    Parameters
    ----------
    samples : sequence of TaskSample, optional
        Of all tasks, from `sample_tasks`, so that they are made once for all held-out tasks; those
        that the held-out task has a part in are left out. By default the past is sampled each time.
    budget : int, default 0
        As for `ModelSpider.score`.
    **options
        Of `ModelSpider`.
    """
    from . import model_spider  # noqa: F401  what it lacks is told now

    return partial(_by_model_spider, samples, budget, options)


def _by_model_spider(
    samples: Sequence[TaskSample] | None,
    budget: int,
    options: Mapping[str, Any],
    past: TransferHistory,
    task: Task,
) -> dict[str, float]:
    from .model_spider.model_spider import ModelSpider

    spider = ModelSpider(**options)
    if samples is None:
        spider.fit(past, progress=False)
    else:
        known = set(past.tasks)
        spider.fit([one for one in samples if known.issuperset(one.tasks)], progress=False)
    return dict(zip(spider.models_, spider.score(task, budget).tolist(), strict=True))


def by_completion(
    scores: Mapping[str, Mapping[str, float]] | Mapping[str, Any] | None = None,
    n_models: int | None = None,
    *,
    metric: str = "logme",
    **options: Any,
) -> Recommender:
    """Return a recommender that fits `Completion` to the past and runs some models on the new task.

    Parameters
    ----------
    scores : mapping, optional
        Of all tasks, the held-out one included, as for `Completion.fit`: those of the past are
        learnt from, the new task's are told for the models that are run. By default ``metric``
        scores the models' features, each once.
    n_models : int, optional
        How many models are run; by default all. With 0 the past alone ranks.
    metric : str, default "logme"
        Spec of the metric, where no scores are given.
    **options
        Of `Completion`.
    """
    if n_models is not None and n_models < 0:
        raise ValueError(f"n_models: {n_models} given; it is at least 0")
    return _ByCompletion(scores, n_models, metric, options)


class _ByCompletion:
    """`by_completion`, with the scores of features that were made so far."""

    def __init__(
        self,
        scores: Mapping[str, Any] | None,
        n_models: int | None,
        metric: str,
        options: Mapping[str, Any],
    ) -> None:
        from ..metrics import canonical_spec
        from .completion.completion import as_metrics

        self._metrics = None if scores is None else as_metrics(scores)
        self._metric = canonical_spec(metric)
        self._n_models, self._options = n_models, options
        self._made: dict[tuple[str, str], float] = {}

    def __call__(self, past: TransferHistory, task: Task) -> Ranked:
        from ..evaluation.ranked import Ranked
        from .completion import Completion

        known: Any = None
        if self._metrics is not None:
            known = {
                name: {t: of[t] for t in past.tasks if t in of}
                for name, of in self._metrics.items()
            }
        elif self._n_models != 0:
            tasks = [past.task(name) for name in past.tasks]
            known = {t.name: {m: self._score(m, t) for m in past.models} for t in tasks}
        search = Completion(**self._options).fit(past, known).start(task)
        wanted = len(past.models) if self._n_models is None else self._n_models
        while len(search.told) < wanted and (model := search.next_model()) is not None:
            search.tell(model, self._told(model, task))
        return Ranked(search.recommend(), models_run=len(search.told))

    def _told(self, model: str, task: Task) -> Any:
        if self._metrics is None:
            return self._score(model, task)
        try:
            return {name: of[task.name][model] for name, of in self._metrics.items()}
        except KeyError:
            raise ValueError(
                f"scores: hold none of model {shown(model)} on task {shown(task.name)}; give those "
                "of every model that may be run"
            ) from None

    def _score(self, model: str, task: Task) -> float:
        from ..metrics import score

        if (task.name, model) not in self._made:
            features, labels = task.labelled_features(model)
            found = score(features, labels, self._metric)
            self._made[task.name, model] = next(iter(found.values()))
        return self._made[task.name, model]


def by_stacking(
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None, **options: Any
) -> Recommender:
    """Return a recommender that fits `Stacked` to the past.

    Parameters
    ----------
    metrics : mapping of str to mapping, optional
        Name to task to model to score, of all tasks, the held-out one included.
    **options
        Of `Stacked`.
    """
    return partial(_by_stacking, metrics or {}, options)


def _by_stacking(
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]],
    options: Mapping[str, Any],
    past: TransferHistory,
    task: Task,
) -> Ranked:
    from ..evaluation.ranked import Ranked
    from .stacked import Stacked

    known = {name: {t: of[t] for t in past.tasks if t in of} for name, of in metrics.items()}
    new = {name: of[task.name] for name, of in metrics.items() if task.name in of}
    stacked = Stacked(**options).fit(past, known)
    return Ranked(stacked.recommend(task, new), models_run=len(past.models) if metrics else 0)
