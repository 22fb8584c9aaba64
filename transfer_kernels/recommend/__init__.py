"""Recommenders that learn from past transfers: which models of a zoo suit a new task?

PyTorch and gensim are imported only when what needs them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..optional_packages import why_not

#: Public name to the module that defines it.
_HOMES = {
    "ArchitectureEmbedding": "architectures.architecture_embedding",
    "ArchitectureGraph": "architectures.autograd_graph",
    "archi2vec": "architectures.architecture_embedding",
    "architecture_graph": "architectures.autograd_graph",
    "Completion": "completion",
    "Fennec": "fennec.fennec",
    "ModelSpider": "model_spider.model_spider",
    "Search": "completion",
    "Stacked": "stacked",
    "Task": "history",
    "TaskSample": "model_spider.task_samples",
    "TransferHistory": "history",
    "by_completion": "recommenders",
    "by_fennec": "recommenders",
    "by_model_spider": "recommenders",
    "by_stacking": "recommenders",
    "reciprocal_rank_fusion": "rank_fusion",
    "sample_tasks": "model_spider.task_samples",
}

#: Packages of the extra to their names for people.
_EXTRAS = {"gensim": "gensim", "sklearn": "scikit-learn", "torch": "PyTorch"}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except Exception as error:  # what a broken package raises may be anything
        failure = error
    for module, title in _EXTRAS.items():
        if _concerns(failure, module):
            raise ImportError(why_not(name, module, title, "recommend", failure)) from None
    raise failure


def _concerns(error: Exception, package: str) -> bool:
    """Whether a failed import may be that of an extra: it names it, or passed through it."""
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == package:
        return True
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__", "").partition(".")[0] == package:
            return True
        frame = frame.tb_next
    return False


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
