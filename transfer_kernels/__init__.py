"""Exact, fast kernels for transferability metrics: which pre-trained model will fine-tune best?"""

__version__ = "0.1.0"

from . import ops
from .backends import describe_backends, show_backends
from .ensemble import sfda_ensemble
from .estimators import PARC, SFDA, LogME
from .evaluation import evaluate
from .metrics import Metric, Problem, UninformativeScoreWarning, metric_names, register, score
from .metrics.fda import fda_score
from .metrics.logme import logme
from .metrics.parc import parc
from .metrics.sfda import sfda
from .ranking import rank

__all__ = [
    "PARC",
    "SFDA",
    "LogME",
    "Metric",
    "Problem",
    "UninformativeScoreWarning",
    "describe_backends",
    "evaluate",
    "fda_score",
    "logme",
    "metric_names",
    "ops",
    "parc",
    "rank",
    "register",
    "score",
    "sfda",
    "sfda_ensemble",
    "show_backends",
]
