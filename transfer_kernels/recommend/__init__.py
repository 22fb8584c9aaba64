"""Recommenders that learn from past transfers: which models of a zoo suit a new task?

PyTorch and gensim are imported only when what needs them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..optional_packages import require

#: Public name to the module that defines it.
_HOMES = {
    "ArchitectureEmbedding": "architecture_embedding",
    "ArchitectureGraph": "autograd_graph",
    "archi2vec": "architecture_embedding",
    "architecture_graph": "autograd_graph",
    "Fennec": "fennec",
    "ModelSpider": "model_spider",
    "Task": "history",
    "TaskSample": "task_samples",
    "TransferHistory": "history",
    "by_fennec": "recommenders",
    "by_model_spider": "recommenders",
    "reciprocal_rank_fusion": "rank_fusion",
    "sample_tasks": "task_samples",
}

#: Modules of the extra, and what they must hold, to their names for people.
_EXTRAS = {
    ("gensim", "models"): "gensim",
    ("sklearn.base", "BaseEstimator"): "scikit-learn",
    ("torch", "Tensor"): "PyTorch",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except Exception as error:  # what a broken package raises may be anything
        for (module, attribute), title in _EXTRAS.items():
            if _concerns(error, module):
                require(module, attribute, use=name, extra="recommend", title=title)
        raise


def _concerns(error: Exception, module: str) -> bool:
    """Whether a failed import may be that of an extra: it names it, or passed through it."""
    package = module.partition(".")[0]
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
