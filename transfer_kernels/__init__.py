"""Exact, fast kernels for transferability metrics: which pre-trained model will fine-tune best?"""

__version__ = "0.1.0"

from . import ops
from .estimators import PARC, SFDA, LogME
from .evaluation.measures import evaluate
from .inputs.model_outputs import MissingInputWarning, ModelOutputs
from .metrics import (
    Metric,
    Problem,
    RelativeToZoo,
    UninformativeScoreWarning,
    metric_names,
    register,
    score,
)
from .metrics.etran_energy import etran_energy
from .metrics.etran_lda import etran_lda
from .metrics.fda import fda_score
from .metrics.hscore import hscore
from .metrics.lfc import lfc
from .metrics.logme import logme
from .metrics.parc import parc
from .metrics.sfda import sfda
from .metrics.transrate import transrate
from .ops.backends import describe_backends, show_backends
from .zoo.ensemble import sfda_ensemble
from .zoo.ranking import rank

__all__ = [
    "PARC",
    "SFDA",
    "LogME",
    "Metric",
    "MissingInputWarning",
    "ModelOutputs",
    "Problem",
    "RelativeToZoo",
    "UninformativeScoreWarning",
    "describe_backends",
    "etran_energy",
    "etran_lda",
    "evaluate",
    "fda_score",
    "hscore",
    "lfc",
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
    "transrate",
]
