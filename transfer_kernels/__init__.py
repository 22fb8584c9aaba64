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
from .metrics.dds import dds
from .metrics.emms import emms
from .metrics.etran import ETran, etran
from .metrics.etran_energy import etran_energy
from .metrics.etran_lda import etran_lda
from .metrics.fda import fda_score
from .metrics.gbc import gbc
from .metrics.hscore import hscore
from .metrics.knn import knn
from .metrics.leep import leep
from .metrics.lfc import lfc
from .metrics.logme import logme
from .metrics.loss import loss
from .metrics.nce import nce
from .metrics.ncti import NCTI, ncti
from .metrics.nleep import nleep
from .metrics.otce import otce
from .metrics.pactran import pactran
from .metrics.pactran_gauss import pactran_gauss
from .metrics.pactran_mixture import pactran_mixture
from .metrics.parc import parc
from .metrics.ped import ped
from .metrics.ridge_probe import ridge_probe
from .metrics.rsa import rsa
from .metrics.sfda import sfda
from .metrics.transrate import transrate
from .ops.backends import describe_backends, show_backends
from .zoo.ensemble import sfda_ensemble
from .zoo.ranking import rank

__all__ = [
    "NCTI",
    "ETran",
    "PARC",
    "SFDA",
    "LogME",
    "Metric",
    "MissingInputWarning",
    "ModelOutputs",
    "Problem",
    "RelativeToZoo",
    "UninformativeScoreWarning",
    "dds",
    "describe_backends",
    "emms",
    "etran",
    "etran_energy",
    "etran_lda",
    "evaluate",
    "fda_score",
    "gbc",
    "hscore",
    "knn",
    "leep",
    "lfc",
    "logme",
    "loss",
    "metric_names",
    "nce",
    "ncti",
    "nleep",
    "ops",
    "pactran_gauss",
    "otce",
    "pactran",
    "pactran_mixture",
    "parc",
    "ped",
    "rank",
    "register",
    "ridge_probe",
    "rsa",
    "score",
    "sfda",
    "sfda_ensemble",
    "show_backends",
    "transrate",
]
