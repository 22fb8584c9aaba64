"""The speed tables of docs/benchmarks.md, README.md's short one and the plots.

They are made from the committed JSON files alone.

python -m bench.report            print the tables
python -m bench.report --write    put them into the pages and draw the plots
python -m bench.report --check    fail where a page is out of date
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from . import gpu_tables
from .machine import ROOT
from .markdown import percent, seconds, size_text, table

RESULTS = ROOT / "bench" / "results"
README, BENCHMARKS = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"


def reports(kind: str) -> list[tuple[str, dict]]:
    """(name, content) of the committed full measurements of a kind: "table", "sweep" or "gpu"."""
    found = []
    for path in sorted(RESULTS.glob("*.json")):
        content = json.loads(path.read_text())
        if content.get("kind") == kind and not content["quick"]:
            found.append((path.stem, content))
    return found


def markdown() -> dict[Path, dict[str, str]]:
    """What stands between each pair of markers of each page."""
    measured = [content for _, content in reports("table")]
    on_gpus = [content for _, content in reports("gpu")]
    return {
        README: {"speed summary": "\n\n".join(summary(content) for content in measured)},
        BENCHMARKS: {
            "speed table": "\n\n".join(section(content) for content in measured),
            "gpu table": gpu_tables.section(on_gpus, ROOT / "kernels"),
        },
    }


def summary(content: dict) -> str:
    """The metrics as a whole, each size once."""
    rows, seen = [], set()
    for line in content["lines"]:
        cells, size = metric_cells(line), (line["metric"], line["problem"]["n"])
        if not part_of(line) and size not in seen:
            seen.add(size)
            rows.append([cells[0], cells[1], cells[3], cells[4], cells[6]])
    facts = content["machine"]
    return (
        f"{facts['cpu']}, {facts['threads']} threads, {content['date']}; "
        f"{content['lines'][0]['problem']['n_classes']} classes, float32 features:\n\n"
        + table(["", "n × d", "plain", "ours", "ratio"], rows)
    )


def section(content: dict) -> str:
    parts = [caption(content), metric_table(content)]
    if content["scatter"]:
        parts.append(scatter_table(content))
    if content["memory"]:
        parts.append(memory_table(content))
    parts.append(startup_sentence(content))
    return "\n\n".join(parts)


def caption(content: dict) -> str:
    """Machine and versions in one paragraph."""
    facts, peak = content["machine"], peak_of(content)
    versions = facts["versions"]
    machine = f"{facts['cpu']}, {facts['threads']} threads"
    if peak:
        machine += (
            f", {facts['instruction_set']}: measured peak of the multiply-add units "
            f"{peak['float64']:.0f} GFLOP/s in float64"
        )
    return (
        f"{machine}; transfer_kernels {versions['transfer-kernels']} at {facts['commit']}, "
        f"NumPy {versions['numpy']}, SciPy {versions['scipy']}, BLAS: "
        f"{' and '.join(facts['blas'])}; {content['date']}. "
        "Float32 features, float64 accumulation; medians. "
        "“Plain” is NumPy code in the style of the published implementation, and was timed in the "
        "same run in turns with ours; “error” is the difference of the two values. “Floor” is the "
        "time that our algorithm's multiply-adds would take at the peak."
    )


def metric_table(content: dict) -> str:
    header = ["", "n × d", "C", "plain", "ours", "in Numba", "ratio", "floor", "of peak", "error"]
    return table(header, [metric_cells(line) for line in content["lines"]])


def part_of(line: dict) -> str:
    """What part of a metric was measured, where it was not all of it."""
    return line["size"].partition(", ")[2]


def metric_cells(line: dict) -> list[str]:
    problem, ours, published = line["problem"], line["ours"], line["published"]
    name = line["metric"] + (f", f = {line['n_components']}" if "n_components" in line else "")
    part = part_of(line)
    return [
        f"{name}, {part}" if part else name,
        shape(problem, line["n_components"] if part else problem["d"]),
        str(problem["n_classes"]),
        seconds(published) if published else "does not fit",
        seconds(ours),
        seconds(line.get("backends", {}).get("numba")),
        f"{line['ratio']:.1f}×" if line["ratio"] else "",
        seconds(line["floor_s"]),
        percent(line["percent_of_peak"]),
        error_text(line),
    ]


def scatter_table(content: dict) -> str:
    """Share of the peak, one column an implementation."""
    cases, names = {}, []
    for row in content["scatter"]:
        name = row["implementation"] + (
            f" {row['instruction_set']}" if row["instruction_set"] else ""
        )
        if name not in names:
            names.append(name)
        case = (row["problem"]["dtype"], row["weighted"])
        cases.setdefault(case, {"problem": row["problem"]})[name] = row
    rows = []
    for (dtype, weighted), found in cases.items():
        cells = [
            f"{seconds(found[name]['seconds'])}, {percent(found[name]['percent_of_peak'])}"
            if name in found
            else ""
            for name in names
        ]
        rows.append([f"{dtype}{', weighted' if weighted else ''}", *cells])
    size = shape(content["scatter"][0]["problem"])
    return (
        f"The scatter matrix alone, {size}, as time and share of the float64 peak of the "
        "instruction set that is named, else of the widest:\n\n" + table(["input", *names], rows)
    )


def memory_table(content: dict) -> str:
    rows = []
    for row in content["memory"]:
        extra, features = row["extra_bytes"], row["features_bytes"]
        rows.append(
            [
                METRIC_NAMES[row["metric"]],
                "ours" if row["implementation"] == "ours" else "plain",
                shape(row["problem"]),
                "mapped" if row["mapped"] else "in memory",
                size_text(features),
                size_text(extra),
                f"{extra / features:.2f}",
            ]
        )
    header = ["", "code", "n × d", "features", "their size", "peak extra memory", "ratio"]
    return "Peak memory beyond the features:\n\n" + table(header, rows)


METRIC_NAMES = {"logme": "LogME", "sfda": "SFDA", "parc": "PARC, f = 32"}


def startup_sentence(content: dict) -> str:
    startup = content["startup"]
    calls = {}
    for row in startup["first_calls"]:
        calls.setdefault(row["backend"], []).append(row)
    text = f"`import transfer_kernels` takes {seconds(startup['import'])} (NumPy's own included)"
    for backend, rows in calls.items():
        times = [row["seconds"] for row in rows]
        text += f"; the first call of a metric takes {span(times)} with {backend}"
        cold = [row["seconds_empty_cache"] for row in rows if "seconds_empty_cache" in row]
        if cold:
            text += f" ({span(cold)} where it must compile)"
    return text + "."


def span(values: list[float]) -> str:
    low, high = seconds(min(values)), seconds(max(values))
    return low if low == high else f"{low} to {high}"


def peak_of(content: dict) -> dict | None:
    """Peak by dtype of the widest instruction set, all threads; None without a compiled module."""
    isa = content["machine"]["instruction_set"]
    return content["peak_gflops"][isa]["threads"] if isa else None


def error_text(line: dict) -> str:
    """Difference of the values, or below what, where only an interval was there to compare with."""
    if line["published"]:
        return f"{line['max_error']:.0e}"
    return f"< {line['tolerance']:.0e}" if line["match"] else f"{line['max_error']:.0e}"


def shape(problem: dict, d: int | None = None) -> str:
    return f"{problem['n']:,} × {d or problem['d']}".replace(",", " ")


def updated(page: str, tables: dict[str, str], name: str = "the page") -> str:
    """The text of a page with what stands between each pair of markers replaced.

    Raises
    ------
    ValueError
        If a pair of markers is not there, once and in order.
    """
    for marker, content in tables.items():
        begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
        head, found_begin, rest = page.partition(begin)
        _, found_end, tail = rest.partition(end)
        if not found_begin or not found_end or begin in tail or end in tail:
            raise ValueError(f"{name} must have {begin} and then {end}, once each")
        page = head + begin + "\n" + (f"\n{content}\n\n" if content else "") + end + tail
    return page


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help="update the pages and the plots")
    action.add_argument("--check", action="store_true", help="fail where a page is out of date")
    options = parser.parse_args()

    pages = markdown()
    if not (options.write or options.check):
        print("\n\n".join(text for tables in pages.values() for text in tables.values()))
        return
    for path, tables in pages.items():
        before, name = path.read_text(), str(path.relative_to(ROOT))
        after = updated(before, tables, name)
        if options.check and after != before:
            sys.exit(f"the tables of {name} are out of date: python -m bench.report --write")
        if options.write:
            path.write_text(after)
    if options.write:
        from . import plots

        for path in plots.draw_all(reports("table"), reports("sweep")):
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
