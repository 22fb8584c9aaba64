"""The recommenders as callables for `transfer_kernels.evaluation.yardstick.leave_one_task_out`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .history import Task, TransferHistory

if TYPE_CHECKING:
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
