"""The registry: options have types, others' metrics are taken, functions too; none is left out."""

import inspect
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import example_inputs, in_subprocess, make_problem

import transfer_kernels as tk
from transfer_kernels.metrics import METRICS, Problem, metric_call, registry
from transfer_kernels.metrics.registry import Option

ROOT = Path(__file__).parents[2]
X, y = make_problem(80, 6, 3)


def class_gap(features, labels):
    """A metric of a user's own: how far the first feature's class means are apart."""
    return float(np.ptp([features[labels == c, 0].mean() for c in np.unique(labels)]))


def failing(features, labels):
    raise ArithmeticError("no score")


def largest_feature(problem, power: int = 1, signed: bool = False):
    value = float(problem.features.max()) ** power
    return -value if signed else value


@pytest.fixture
def own_metrics(monkeypatch):
    """A registry that may be added to, put back afterwards."""
    monkeypatch.setattr(METRICS, "_metrics", dict(METRICS._metrics))


WRONG = {bool: ["no", 1, None], int: ["3", 2.0, True], float: ["3", True], str: [3, True]}
WRONG[tuple] = ["3", 2.0]


def wrong_options():
    for metric in METRICS.values():
        for option in metric.options.values():
            assert option.types, f"{metric.name}: {option.name} has no type"
            for value in WRONG[option.types[0]]:
                if value is not None or type(None) not in option.types:
                    yield pytest.param(metric.name, option.name, value)


@pytest.mark.parametrize("name, option, value", list(wrong_options()))
def test_options_have_types(name, option, value):
    message = f"{option} must be a.*, not {re.escape(repr(value))}"
    with pytest.raises(TypeError, match=message):
        function = getattr(tk, name)
        parameters = inspect.signature(function).parameters.values()
        required = {
            p.name: X for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty
        }
        function(X, y, **required, **{option: value})
    with pytest.raises(TypeError, match=message):
        tk.score(X, y, f"{name}({option}={value!r})")
    with pytest.raises(TypeError, match=message):
        tk.rank({"a": X}, y, f"{name}({option}={value!r})")


def test_estimators_check_the_same_options():
    with pytest.raises(TypeError, match="regression must be a bool, not 'no'"):
        tk.LogME(regression="no").fit(X, y)
    with pytest.raises(TypeError, match="n_components must be an integer or None, not '3'"):
        tk.PARC(n_components="3").fit(X, y)


def test_numbers_of_numpy_are_options():
    assert tk.parc(X, y, n_components=np.int32(3)) == tk.parc(X, y, n_components=3)
    assert tk.logme(X, y, regression=np.bool_(False)) == tk.logme(X, y)


def test_options_are_known_from_the_annotations():
    options = tk.Metric("peak", largest_feature).options
    assert options == {
        "power": Option("power", 1, (int,)),
        "signed": Option("signed", False, (bool,)),
    }


def test_a_registered_metric_is_one_like_the_others(own_metrics):
    metric = tk.register(tk.Metric("peak", largest_feature))
    assert "peak" in tk.metric_names() and tk.register(metric) is metric
    assert tk.score(X, y, "peak(power=2)") == {"peak(power=2)": float(X.max()) ** 2}
    with pytest.raises(TypeError, match="power must be an integer, not 'a'"):
        tk.score(X, y, "peak(power='a')")
    with pytest.raises(ValueError, match="name: 'peak' is taken"):
        tk.register(tk.Metric("peak", failing))
    with pytest.raises(ValueError, match="name: 'logme' is taken"):
        tk.register(tk.Metric("logme", largest_feature))
    with pytest.raises(TypeError, match="metric must be a Metric, not function"):
        tk.register(largest_feature)


@pytest.mark.parametrize("name", ["", "a b", "p(x=1)", 3])
def test_names_are_identifiers(name):
    with pytest.raises(ValueError, match="a metric's name is an identifier"):
        tk.Metric(name, largest_feature)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_functions_are_metrics(n_jobs, tmp_path):
    assert tk.score(X, y, class_gap) == {"class_gap": class_gap(X, y)}
    zoo = {"a": X, "b": X[:, ::-1].copy()}
    metrics = ["logme", class_gap, failing]
    journal = tmp_path / "journal"
    ranking = tk.rank(zoo, y, metrics, n_jobs=n_jobs, journal=journal)
    assert ranking.metrics == ("logme", "class_gap", "failing")
    for name, features in zoo.items():
        assert ranking.column("class_gap")[name] == class_gap(features, y)
        assert ranking.errors[name] == "failing: ArithmeticError: no score"
    # What a function computes may change, so that only the others are kept.
    assert journal.read_text().count("logme") == 2 == len(journal.read_text().splitlines())


def test_functions_need_names_of_their_own():
    def logme(features, labels):
        return 0.0

    with pytest.raises(ValueError, match="'logme' is the name of a metric"):
        tk.score(X, y, ["logme", logme])
    with pytest.raises(ValueError, match="'<lambda>' is no name for a column"):
        tk.score(X, y, lambda features, labels: 0.0)

    def twin():
        def class_gap(features, labels):
            return 0.0

        return class_gap

    with pytest.raises(ValueError, match="two functions have the name 'class_gap'"):
        tk.score(X, y, [class_gap, twin()])
    assert tk.score(X, y, [class_gap, class_gap]) == {"class_gap": class_gap(X, y)}


def test_what_is_no_number_is_no_score():
    def words(features, labels):
        return "good"

    with pytest.raises(TypeError, match="a metric gives a number, not str"):
        tk.score(X, y, words)


def test_a_metric_on_a_yardstick():
    from transfer_kernels.evaluation.yardstick import by_metric

    assert callable(by_metric(class_gap)) and callable(by_metric("logme"))
    with pytest.raises(ValueError, match="unknown"):
        by_metric("leap")


PLUGIN = """
from transfer_kernels import Metric
def compute(problem, power: int = 1):
    return float(problem.features.max()) ** power
METRIC = Metric("peak", compute)
"""
ENTRY_POINTS = "[transfer_kernels.metrics]\npeak = peak_metric:METRIC\nlost = no_such_module:M\n"


def test_installed_packages_add_metrics(tmp_path):
    (tmp_path / "peak_metric.py").write_text(PLUGIN)
    metadata = tmp_path / "peak_metric-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: peak-metric\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    code = (
        "import warnings, numpy as np, transfer_kernels as tk\n"
        "warnings.simplefilter('always')\n"
        "X, y = np.eye(8, 3), np.arange(8) % 2\n"
        "print(tk.score(3 * X, y, 'peak(power=2)'), 'peak' in tk.metric_names())\n"
    )
    path = [str(tmp_path), *filter(None, sys.path)]
    result = in_subprocess(code, PYTHONPATH=":".join(path))
    assert result.stdout == "{'peak(power=2)': 9.0} True\n", result.stderr
    assert result.stderr.count("the metric 'lost' of no_such_module:M is left out") == 1


def test_a_call_goes_to_another_process_as_it_is():
    import pickle

    for spec in [*tk.metric_names(), "parc(n_components=3)", class_gap]:
        call = metric_call(spec)
        assert call.metric.options is not None
        again = pickle.loads(pickle.dumps(call))
        assert again.spec == call.spec
        outputs, of_target = example_inputs(X, y)
        problem = Problem(outputs, y, **of_target)
        try:
            expected = call.values(problem)
        except ImportError:  # of a package that this metric needs
            continue
        assert again.values(problem) == expected


@pytest.mark.parametrize("name", tk.metric_names())
def test_no_metric_is_left_out(name):
    """A registered metric is public, described, held to published values, and timed."""
    metric = METRICS[name]
    assert callable(getattr(tk, name)) and name in tk.__all__
    assert metric.summary and metric.paper
    needed = {f"`{given}`" for given in metric.needs - {"features"}}
    assert set(metric.tasks) <= {"classification", "regression", "label vectors"}
    for section in ("Parameters", "Returns", "Raises", "References"):
        assert f"{section}\n---" in inspect.cleandoc(getattr(tk, name).__doc__)
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    places = {
        "described": "".join(page.read_text() for page in pages),
        "timed": (ROOT / "bench" / f"test_{name}.py").read_text(),
        "tested": (ROOT / "tests" / "metrics" / "test_properties.py").read_text(),
    }
    assert needed <= set(re.findall(r"`\w+`", places["described"]))
    for what, text in places.items():
        assert re.search(rf"\b{name}\b", text) or "metric_names()" in text, f"{name} is not {what}"


def test_the_registry_is_a_mapping_in_order():
    assert list(METRICS) == sorted(METRICS) and len(METRICS) == len(tk.metric_names())
    assert "leap" not in METRICS and isinstance(METRICS, registry.Mapping)


def test_few_calls_of_ours_a_score():
    """On small data the time goes to Python: a few functions of ours, each once."""
    X, y = make_problem(50, 8, 5)
    tk.sfda(X, y)
    files = Counter()

    def count(frame, event, _):
        if event == "call":
            files[frame.f_globals.get("__name__", "").startswith("transfer_kernels")] += 1

    sys.setprofile(count)
    try:
        tk.sfda(X, y)
    finally:
        sys.setprofile(None)
    assert files[True] <= 130
