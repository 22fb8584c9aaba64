"""Fixtures of the benchmarks: sizes, backends, and the contest that checks values before timing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bench import data, machine, timing
from bench.data import Problem

SMALL = [
    Problem(1200, 160, 20),
    Problem(900, 96, 10, "float64", "dense"),
    Problem(700, 130, 5, "float16"),
]
FULL = [
    Problem(10_000, 2048, 100),
    Problem(50_000, 2048, 100),
    Problem(10_000, 768, 10, "float64", "dense"),
    Problem(10_000, 512, 1000, "float16"),
]
#: Sizes for what costs n^2.
SMALL_PAIRS = [Problem(600, 32, 20), Problem(500, 70, 5, "float64", "dense")]
FULL_PAIRS = [Problem(5_000, 32, 100), Problem(5_000, 2048, 10)]


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="benchmarks at full size")


def pytest_generate_tests(metafunc):
    full = metafunc.config.getoption("full")
    for fixture, small, large in (
        ("problem", SMALL, FULL),
        ("pair_problem", SMALL_PAIRS, FULL_PAIRS),
    ):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, large if full else small, ids=name_of)


def name_of(problem: Problem) -> str:
    return f"{problem.n}x{problem.d}-C{problem.n_classes}-{problem.dtype}"


@dataclass(frozen=True)
class Variant:
    """A backend and, for the compiled one, an instruction set."""

    backend: str
    isa: str | None

    def __str__(self):
        return self.backend if self.isa is None else f"{self.backend}-{self.isa}"


def variants():
    for name in machine.available_backends():
        if name == "native":
            yield from (Variant(name, isa) for isa in machine.instruction_sets())
        elif name != "reference":
            yield Variant(name, None)


@pytest.fixture(params=list(variants()), ids=str)
def variant(request):
    with machine.using_instruction_set(request.param.isa):
        yield request.param


_arrays: dict[Problem, tuple[np.ndarray, np.ndarray]] = {}


@pytest.fixture
def arrays():
    """Function that makes the features and labels of a problem, keeping only the last."""

    def make(problem):
        if problem not in _arrays:
            _arrays.clear()
            _arrays[problem] = data.make(problem)
            _arrays[problem][0].flags.writeable = False
        return _arrays[problem]

    return make


_baselines: dict[tuple, tuple[float, object]] = {}


@pytest.fixture
def contest(benchmark, variant, request):
    """Function that compares ours with a baseline, then times both.

    ``contest(problem, ours, baseline, error, tolerance, flops=None)``: ``error`` takes the two
    results. The baseline runs once a session and problem, three times where there is timing.
    """

    def run(problem, ours, baseline, error, tolerance, flops=None):
        test = request.node
        key = (test.originalname, problem, *sorted(extra_parameters(test.callspec.params)))
        if key not in _baselines:
            times, expected = [], None
            for _ in range(1 if benchmark.disabled else 3):
                seconds, expected = timing.timed(baseline)
                times.append(seconds)
            _baselines[key] = timing.summary(times)["median"], expected
        baseline_seconds, expected = _baselines[key]

        gap = float(error(ours(), expected))
        assert gap <= tolerance

        benchmark.group = f"{test.originalname.removeprefix('test_')} {name_of(problem)}"
        benchmark.extra_info.update(
            problem.facts(),
            backend=variant.backend,
            instruction_set=variant.isa,
            threads=machine.thread_count(),
            max_error=gap,
            baseline_seconds=baseline_seconds,
        )
        benchmark.pedantic(ours, rounds=7, iterations=1)
        if benchmark.disabled:
            return
        median = benchmark.stats.stats.median
        benchmark.extra_info["ratio"] = baseline_seconds / median
        if flops is not None:
            share = machine.percent_of_peak(flops, median, variant.isa)
            benchmark.extra_info["percent_of_peak"] = share

    return run


def extra_parameters(parameters):
    """What else a test is parametrised by, beside the backend and the problem."""
    fixed = {"variant", "problem", "pair_problem"}
    return [(name, str(value)) for name, value in parameters.items() if name not in fixed]


def relative_gap(found, expected) -> float:
    """Greatest difference over the greatest value."""
    found, expected = np.asarray(found), np.asarray(expected)
    return np.max(np.abs(found - expected)) / np.max(np.abs(expected))


@pytest.fixture(name="relative_gap")
def relative_gap_fixture():
    return relative_gap
