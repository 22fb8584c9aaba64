"""One run that measures the whole speed table on this machine and writes it as JSON.

python -m bench.measure                 the table, about twelve minutes on two cores
python -m bench.measure --quick         the same lines, small, to see that all of it works
python -m bench.measure --sweep         times against n, d and C, for the plots
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import data, lines, machine, memory, startup, sweep
from .data import Problem
from .lines import FULL, QUICK, Sizes

RESULTS = Path(__file__).parent / "results"
SCHEMA = 1


def memory_lines(sizes: Sizes) -> Iterator[dict]:
    """Extra memory of our metrics, features read and mapped, and of the published style."""
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "labels.npy"
        for n, works in (
            (sizes.large, ("ours_logme", "ours_sfda", "ours_parc")),
            (sizes.small, ("published_logme", "published_sfda")),
            (sizes.pairs, ("published_parc",)),
        ):
            problem = Problem(n, sizes.d, sizes.n_classes)
            features = Path(folder) / f"{n}.npy"
            X = np.lib.format.open_memmap(
                features, mode="w+", dtype=problem.dtype, shape=(problem.n, problem.d)
            )
            data.fill_features(X, problem)
            X.flush()
            features_bytes = X.nbytes
            del X
            np.save(labels, data.labels(problem))
            for work in works:
                implementation, metric = work.split("_")
                for mapped in (False, True) if implementation == "ours" else (False,):
                    yield {
                        "implementation": implementation,
                        "metric": metric,
                        "problem": problem.facts(),
                        "mapped": mapped,
                        "features_bytes": features_bytes,
                        "extra_bytes": memory.extra_bytes(work, features, labels, mapped),
                    }
            features.unlink()


def measure_table(sizes: Sizes) -> dict:
    """Every line of the table, in one run."""
    return {
        "peak_gflops": {
            isa: {"threads": machine.peak(isa), "one_thread": machine.peak(isa, 1)}
            for isa in machine.instruction_sets()
        },
        "lines": [
            *told(lines.metric_lines(sizes)),
            *told(lines.parc_small_line(sizes)),
            *told(lines.parc_large_lines(sizes)),
        ],
        "scatter": list(told(lines.scatter_lines(sizes))),
        "memory": list(told(memory_lines(sizes))),
        "startup": {
            "import": startup.import_time(5),
            "first_calls": list(told(startup.first_calls())),
        },
    }


def told(rows) -> Iterator[dict]:
    """The rows, each also summarised on standard error as it comes."""
    for row in rows:
        shown = {
            key: f"{value:.4g}" if isinstance(value, float) else value
            for key, value in row.items()
            if isinstance(value, (str, int, float, bool)) and value is not None
        }
        for key in ("ours", "published", "seconds"):
            if isinstance(row.get(key), dict):
                shown[key] = f"{row[key]['median']:.4f} s"
        print("  ".join(f"{key}={value}" for key, value in shown.items()), file=sys.stderr)
        yield row


def mismatches(report: dict) -> list[dict]:
    """Rows whose value does not agree with what it was compared with."""
    rows = [*report.get("lines", []), *report.get("scatter", []), *report.get("points", [])]
    return [row for row in rows if row.get("match") is False]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, few runs")
    parser.add_argument("--sweep", action="store_true", help="times against n, d and C instead")
    parser.add_argument("--out", type=Path, help="JSON file to write; default: print it")
    options = parser.parse_args()

    start = time.perf_counter()
    kind = "sweep" if options.sweep else "table"
    report = {
        "schema": SCHEMA,
        "kind": kind,
        "quick": options.quick,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine.facts(),
    }
    if options.sweep:
        report["points"] = list(told(sweep.points(quick=options.quick)))
    else:
        report.update(measure_table(QUICK if options.quick else FULL))
    report["elapsed_s"] = time.perf_counter() - start

    text = json.dumps(report, indent=1) + "\n"
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    else:
        print(text, end="")
    wrong = mismatches(report)
    for row in wrong:
        print(f"values differ: {row}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
