"""Metrics against the values that published implementations gave, on every backend."""

import json
import warnings

import numpy as np
import pytest
from conftest import GOLDENS

import transfer_kernels as tk
from transfer_kernels.metrics import loss, pactran_gauss, ped

CASES = (
    "balanced10 wide binary many_imbalanced singleton duplicate_rows constant_features "
    "large_offset relu_sparse float64 low_rank hard easy noncontiguous digits_raw "
    "breast_cancer_std wine_raw iris_std iris_raw theta_edge"
).split()

# The published SFDA rounds its mixed features to float32 where X is; with an offset of 1000 that is
# an error of 3e-5 in every feature, and only the value from float64 features is meaningful.
ROUNDED = {("large_offset", "sfda")}

# Mathematically the sum over all d eigenvalues; ours counts the classes that occur, theirs all.
ABSENT_CLASSES = {("noncontiguous", "logme_fixed_point_full_spectrum")}

#: How far published fits of PACTran are from the optimum: they start at random and stop early.
EARLY = 1e-2
#: Raw features, of which 100 rounds leave them farther away; a class that does not occur counts.
UNFINISHED = {(case, scale) for case in ("digits_raw", "wine_raw") for scale in ("1", "10")}
UNFINISHED |= {("noncontiguous", scale) for scale in ("0.1", "1", "10")}

METRICS = {
    "sfda": (lambda X, y, b: tk.sfda(X, y, backend=b), 0.0, 1e-6),
    "sfda_f64": (lambda X, y, b: tk.sfda(X.astype(np.float64), y, backend=b), 0.0, 1e-8),
    "sfda_shrinkage": (lambda X, y, b: tk.SFDA(backend=b).fit(X, y).shrinkage_, 1e-9, 0.0),
    "logme_fixed_point": (lambda X, y, b: tk.logme(X, y, variant="thuml", backend=b), 1e-6, 0.0),
    "logme_fixed_point_full_spectrum": (
        lambda X, y, b: tk.logme(X, y, variant="thuml-full", backend=b),
        1e-6,
        0.0,
    ),
    "logme_icml": (lambda X, y, b: tk.logme(X, y, variant="thuml-icml", backend=b), 1e-6, 0.0),
    "logme_tllib": (lambda X, y, b: tk.logme(X, y, variant="tllib", backend=b), 1e-6, 0.0),
    "logme_transformer_ranker": (
        lambda X, y, b: tk.logme(X, y, variant="transformer-ranker", backend=b),
        1e-6,
        0.0,
    ),
    "hscore_parc_f64": (lambda X, y, b: tk.hscore(X, y, backend=b), 1e-8, 0.0),
    "hscore_tllib_f64": (lambda X, y, b: tk.hscore(X, y, backend=b), 1e-8, 0.0),
    "regularized_hscore_tllib": (
        lambda X, y, b: tk.hscore(X, y, "ledoit-wolf", backend=b),
        1e-12,
        0.0,
    ),
    "hscore_transformer_ranker": (
        lambda X, y, b: tk.hscore(X, y, "ledoit-wolf", backend=b),
        2e-7,
        0.0,
    ),
    "transrate_tllib_f64": (lambda X, y, b: tk.transrate(X, y, backend=b), 1e-11, 0.0),
    "lfc": (lambda X, y, b: tk.lfc(X, y, backend=b), 3e-7, 0.0),
    "lfc_f64": (lambda X, y, b: tk.lfc(X, y, backend=b), 2e-7, 0.0),
    "knn_parc_k1_l2": (lambda X, y, b: 100.0 * tk.knn(X, y, k=1, backend=b), 1e-9, 0.0),
    "knn_parc_k3_l2": (lambda X, y, b: 100.0 * tk.knn(X, y, backend=b), 1e-9, 0.0),
    # Counts in float32.
    "knn_transformer_ranker_k3": (
        lambda X, y, b: tk.knn(X, y, ties="smallest", backend=b),
        1e-7,
        0.0,
    ),
    "knn_transformer_ranker_k3_cosine": (
        lambda X, y, b: tk.knn(X, y, metric="cosine", ties="smallest", backend=b),
        1e-7,
        0.0,
    ),
    "etran_lda": (lambda X, y, b: tk.etran_lda(X, y, backend=b), 1e-10, 0.0),
    "etran_energy_bot_0.5": (lambda X, y, b: tk.etran_energy(X, y, backend=b), 3e-7, 0.0),
    "etran_energy_bot_10": (lambda X, y, b: tk.etran_energy(X, y, 10.0, backend=b), 3e-7, 0.0),
    "etran_energy_bot_100": (lambda X, y, b: tk.etran_energy(X, y, 100.0, backend=b), 3e-7, 0.0),
    "etran_energy_top_10": (
        lambda X, y, b: tk.etran_energy(X, y, 10.0, "top", backend=b),
        3e-7,
        0.0,
    ),
    "parc_exact_both": (lambda X, y, b: tk.parc(X, y, backend=b), 1e-6, 1e-6),
    "parc_32_exact_both": (lambda X, y, b: tk.parc(X, y, n_components=32, backend=b), 1e-6, 0.0),
}


#: Scales of published fits of PACTran, as their keys have them.
PACTRAN = {"0.1": 0.1, "1": 1.0, "10": 10.0}


def golden_file(name):
    return json.loads((GOLDENS / name).read_text())


SCORES, NOISE = golden_file("scores.json"), golden_file("noise.json")

#: Relative change of a published value under permutations above which it is arbitrary.
NO_GOLDEN = 1e-2


def noise(case, key):
    """The published value's largest relative change when rows, columns or classes are permuted."""
    changes = (NOISE[case].get(key) or {}).values()
    return max((change for change in changes if change is not None), default=0.0)


def tolerance(case, key, relative):
    """Relative tolerance: the metric's, or ten times the published value's own noise."""
    return max(relative, 10.0 * noise(case, key))


def published_values():
    """Case and key of every value that means something and that ours is to equal."""
    for case in CASES:
        for key in METRICS:
            by_design = (case, key) in ROUNDED | ABSENT_CLASSES
            if SCORES[case].get(key) is None or by_design or noise(case, key) > NO_GOLDEN:
                continue
            yield pytest.param(case, key, id=f"{case}-{key}")


def test_most_published_values_mean_something():
    assert len(list(published_values())) > 0.9 * len(CASES) * len(METRICS)


@pytest.mark.parametrize("case,key", list(published_values()))
def test_published_value(goldens, backend, case, key):
    function, relative, absolute = METRICS[key]
    arrays = goldens["arrays"](case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        ours = function(arrays["X"], arrays["y"], backend)
    relative = tolerance(case, key, relative)
    assert ours == pytest.approx(SCORES[case][key], rel=relative, abs=absolute)


LOGME_FITS = {"thuml": "logme_fixed_point", "thuml-icml": "logme_icml"}


def published_precisions():
    """Case, variant and golden key of every published alphas and betas that mean something."""
    for case in CASES:
        for variant, name in LOGME_FITS.items():
            for kind in ("alphas", "betas"):
                key = f"{name}_{kind}"
                if SCORES[case].get(key) is not None and noise(case, key) <= NO_GOLDEN:
                    yield pytest.param(case, variant, key, id=f"{case}-{key}")


@pytest.mark.parametrize("case,variant,key", list(published_precisions()))
def test_precisions_of_logme(goldens, backend, case, variant, key):
    arrays = goldens["arrays"](case)
    model = tk.LogME(variant=variant, backend=backend).fit(arrays["X"], arrays["y"])
    ours = model.alphas_ if key.endswith("alphas") else model.betas_
    # alpha and beta of a nearly flat optimum are less certain than the evidence.
    np.testing.assert_allclose(ours, SCORES[case][key], rtol=tolerance(case, key, 1e-6))


REGRESSION = {
    "logme_regression_fixed_point": "thuml",
    "logme_regression_icml": "thuml-icml",
    "logme_regression_tllib": "tllib",
    "logme_regression_tllib_2d": "tllib",
    "logme_regression_transformer_ranker": "transformer-ranker",
}


@pytest.mark.parametrize("case", ["regression1", "regression3"])
def test_regression(goldens, backend, case):
    scores = goldens["scores"][case]
    arrays = goldens["arrays"](case)
    checked = 0
    for key, variant in REGRESSION.items():
        if scores.get(key) is None:
            continue
        ours = tk.logme(arrays["X"], arrays["Y"], True, variant, backend=backend)
        assert ours == pytest.approx(scores[key], rel=tolerance(case, key, 1e-6))
        checked += 1
    assert checked >= 2


@pytest.mark.parametrize(
    ("case", "text"),
    # The published fit of raw digits is far from the optimum for the wider priors.
    [(c, t) for c in CASES for t in PACTRAN if c != "digits_raw" or t == "0.1"],
)
def test_pactran_gauss(goldens, backend, case, text):
    """The bounds of the larger and the smaller s2, and the loss, which is never above theirs."""
    arrays, scale = goldens["arrays"](case), PACTRAN[text]
    problem = tk.Problem(arrays["X"], arrays["y"], backend)
    ours = [-pactran_gauss.compute(problem, scale, factor) for factor in (100.0, 10.0)]
    ours.append(-loss.compute(problem, scale))
    for published in SCORES[case][f"pactran_gauss_emms_lda{text}_seeds"]:
        assert ours[2] <= published[2]
        if (case, text) not in UNFINISHED:
            assert ours == pytest.approx(published, rel=EARLY)


def ped_cases():
    for case in CASES:
        for nsigma in ("0.3", "0.6", "2"):
            if SCORES[case].get(f"ped_steps_nsigma{nsigma}") is not None:
                yield pytest.param(case, nsigma, id=f"{case}-{nsigma}")


@pytest.mark.parametrize(("case", "nsigma"), list(ped_cases()))
def test_ped(goldens, backend, case, nsigma):
    arrays, scores = goldens["arrays"](case), SCORES[case]
    outputs = tk.ModelOutputs(features=arrays["X"], general=arrays["G"])
    problem = tk.Problem(outputs, arrays["y"], backend)
    assert ped.motion(problem, float(nsigma)).n_steps == scores[f"ped_steps_nsigma{nsigma}"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        by_sfda = ped.compute(problem, "sfda", float(nsigma))
        by_logme = ped.compute(problem, "logme-thuml", float(nsigma))
    assert by_sfda == pytest.approx(scores[f"ped_sfda_nsigma{nsigma}"], abs=1e-5)
    assert by_logme == pytest.approx(scores[f"ped_logme_nsigma{nsigma}"], rel=1e-6)


def test_regression_by_neighbours(goldens, backend):
    arrays, key = goldens["arrays"]("regression1"), "knn_regression_transformer_ranker_k3"
    ours = tk.knn(arrays["X"], arrays["Y"], regression=True, backend=backend)
    published = goldens["scores"]["regression1"][key]
    assert ours == pytest.approx(published, rel=tolerance("regression1", key, 1e-6))


def test_zoo(goldens, backend):
    arrays, scores = goldens["arrays"]("zoo"), goldens["scores"]["zoo"]
    checked = 0
    for key, (function, relative, absolute) in METRICS.items():
        # The zoo's features are in general position, so that nothing but labels ties.
        values = scores.get("parc_exact" if key == "parc_exact_both" else key)
        for i, published in enumerate(values or []):
            ours = function(arrays[f"X{i}"], arrays["y"], backend)
            assert ours == pytest.approx(published, rel=max(relative, 1e-9), abs=absolute)
            checked += 1
    assert checked == 48
