"""README.md and docs/*.md keep their word: code runs, prints what is shown, names all there is.

On every page the blocks of Python share one namespace, in their order, and a folder of their own in
which ``examples/`` stands, as in a clone. Lines of shell blocks that call ``transfer-kernels`` run
as well; what installs, tests or builds does not. A block of "text" right after a block is what that
prints, times and the lengths of rules apart, ``...`` standing for anything. Comments tell the rest:

    <!-- test: needs torch -->       skip the next block where that module, or "a GPU", is missing
    <!-- test: first                 Python that the page does not show
    import numpy as np
    -->
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import warnings
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import transfer_kernels as tk
from transfer_kernels.cli.main import main
from transfer_kernels.kernels.declarations import declarations
from transfer_kernels.metrics import METRICS
from transfer_kernels.metrics.logme import VARIANTS

OWN_METRICS = dict(METRICS)
ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

PART = re.compile(
    r"^<!-- test: (?P<note>.*?)-->$"
    r"|^(?P<fence>```+)(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
SHELL = ("bash", "sh", "console")
PASSED_OVER = ("pip", "pytest", "nox", "python", "git", "cd", "sphinx-build")
DEVICE = "a GPU"


@dataclass
class Block:
    """One block that runs: Python, or shell lines of which some call the command."""

    page: Path
    line: int
    language: str
    code: str
    needs: tuple[str, ...] = ()
    shown: str | None = None

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"

    def commands(self) -> list[str]:
        """The calls of ``transfer-kernels`` in a shell block."""
        lines = self.code.replace("\\\n", " ").splitlines()
        parts = [part.strip() for line in lines for part in line.partition(" #")[0].split("&&")]
        calls = []
        for part in filter(None, parts):
            program = re.sub(r"^(\w+=\S* )+", "", part).split()[0]
            if program == "transfer-kernels":
                calls.append(part)
            elif not program.startswith("#"):
                assert program in PASSED_OVER, f"{self.name}: what is {program!r}?"
        return calls


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    found: list[Block] = []
    needs: tuple[str, ...] = ()
    end_of_last = None
    for part in PART.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        if (note := part["note"]) is not None:
            head, _, code = note.partition("\n")
            if head.strip() == "first":
                found.append(Block(page, line, "python", code))
            else:
                word, _, what = head.strip().partition(" ")
                assert word == "needs", f"{page.name}:{line}: what is {head!r}?"
                needs = tuple(one.strip() for one in what.split(","))
            continue
        language, code = part["language"].strip(), part["code"]
        if language == "python" or language in SHELL:
            block = Block(page, line, language, code, needs)
            if language == "python" or block.commands():
                found.append(block)
                end_of_last = part.end()
            needs = ()
        elif language == "text" and end_of_last is not None:
            if not text[end_of_last : part.start()].strip():
                found[-1].shown = code
        else:
            end_of_last = None
    assert not needs, f"{page.name}: a comment of needs without a block"
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


@dataclass
class Reader:
    """Who reads a page from its start: names defined so far, and the folder that is worked in."""

    folder: Path
    names: dict = field(default_factory=lambda: {"__name__": "__main__"})
    printed: dict[str, str] = field(default_factory=dict)

    def reach(self, block: Block) -> str:
        """Run what stands before a block, and the block, each once; returns what it prints."""
        for other in BLOCKS:
            if other.page == block.page and other.line <= block.line and not missing(other):
                if other.name not in self.printed:
                    self.printed[other.name] = self._run(other)
        return self.printed[block.name]

    def _run(self, block: Block) -> str:
        output = io.StringIO()
        with contextlib.redirect_stdout(output), warnings.catch_warnings():
            warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
            if block.language == "python":
                padded = "\n" * block.line + block.code  # so that tracebacks tell the page's lines
                exec(compile(padded, str(block.page), "exec", dont_inherit=True), self.names)
            else:
                for command in block.commands():
                    self._call(command, block)
        return output.getvalue()

    def _call(self, command: str, block: Block) -> None:
        words = shlex.split(command)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(self.folder / "cache"))
            while words[0] != "transfer-kernels":
                name, _, value = words.pop(0).partition("=")
                patch.setenv(name, value)
            assert main(words[1:]) == 0, f"{block.name}: {command}"


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    yield from _readers(tmp_path_factory)
    METRICS._metrics = dict(OWN_METRICS)  # without those that pages register


def _readers(tmp_path_factory):
    found = {}
    for page in PAGES:
        found[page] = Reader(tmp_path_factory.mktemp(page.stem))
        (found[page].folder / "examples").symlink_to(ROOT / "examples")
    yield found


def missing(block: Block) -> str | None:
    """What a block needs and this machine lacks."""
    for need in block.needs:
        if need == DEVICE:
            if find_spec("torch") is None:
                return need
            import torch

            if not torch.cuda.is_available():
                return need
        elif find_spec(need) is None:
            return need
    return None


@pytest.mark.parametrize(
    "block",
    [
        # The extra `dev` brings the peers of drop-ins, `test` does not.
        pytest.param(
            block,
            id=block.name,
            marks=[pytest.mark.exhaustive] * ("transformer_ranker" in block.needs),
        )
        for block in BLOCKS
    ],
)
def test_block_runs_and_prints_what_is_shown(block, readers, monkeypatch):
    if lacking := missing(block):
        pytest.skip(f"there is no {lacking.removeprefix('a ')} here")
    reader = readers[block.page]
    monkeypatch.chdir(reader.folder)
    with one_thread("torch" in block.needs):
        printed = reader.reach(block)
    if block.shown is not None:
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        same = doctest.OutputChecker().check_output(plain(block.shown), plain(printed), options)
        assert same, f"{block.name} prints\n{printed}"


@contextlib.contextmanager
def one_thread(torch_too: bool):
    """Work this small loses nothing, and threads that spin beside other work cost seconds."""
    with contextlib.ExitStack() as stack:
        if find_spec("threadpoolctl"):
            import scipy.linalg  # noqa: F401  so that its BLAS is there to be limited
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(1))
        if torch_too:
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        yield


def plain(text: str) -> str:
    """What is printed without what differs from run to run: times and the widths of columns."""
    text = re.sub(r"\d[\d.]* (µs|ms|s|min|h)(?!\w)", "TIME", text)
    return re.sub(r"─+", "─", text)


@pytest.mark.parametrize(
    "module",
    [
        "inputs.model_outputs",
        "recommend.history",
        "recommend.fennec.fennec",
        "recommend.model_spider.model_spider",
        "recommend.completion.completion",
        "recommend.stacked",
    ],
)
def test_examples_of_docstrings(module):
    if "spider" in module:
        pytest.importorskip("torch")
    if "fennec" in module:
        pytest.importorskip("sklearn")
    with one_thread("spider" in module):
        found = doctest.testmod(import_module(f"transfer_kernels.{module}"))
    assert found.attempted and not found.failed


def test_every_page_but_lists_has_code():
    without = {page.name for page in PAGES} - {block.page.name for block in BLOCKS}
    assert without == {"changelog.md"}


API = "\n".join(path.read_text() for path in sorted((DOCS / "api").glob("*.md")))


def documented() -> set[str]:
    """Full names that the pages of docs/api document."""
    names, module = set(), ""
    for line in API.splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split(":: ")[1]
        elif line.startswith(".. declared-ops:: "):
            names |= {f"{line.split(':: ')[1]}.{name}" for name in declarations()}
        elif found := re.match(r"\.\. auto(?:function|class|exception):: (\S+)", line):
            name = found[1]
            names.add(name if name.startswith("transfer_kernels.") else f"{module}.{name}")
    return names


@pytest.mark.parametrize("module", ["", "ops", "recommend", "ops.torch_ops"])
def test_every_public_name_is_documented(module):
    if module == "ops.torch_ops":
        pytest.importorskip("torch")
    path = "transfer_kernels" + (f".{module}" if module else "")
    wanted = {f"{path}.{name}" for name in import_module(path).__all__}
    assert wanted - documented() <= {"transfer_kernels.ops"}  # the module itself, a page


def test_metrics_page_names_metrics_options_and_variants():
    text = (DOCS / "metrics.md").read_text()
    for name, metric in OWN_METRICS.items():
        assert f"`{name}`" in text
        for option in metric.options:
            assert f"`{option}`" in text, (name, option)
    for variant in VARIANTS:
        assert f'`"{variant}"`' in text, variant


def test_backends_page_names_every_environment_variable():
    variable = re.compile(r"TRANSFER_KERNELS_[A-Z_]*[A-Z](?![A-Z_])")
    sources = [ROOT / "setup.py"]
    for folder in ("build_support", "transfer_kernels", "kernels", "csrc"):
        sources += [
            p
            for p in (ROOT / folder).rglob("*")
            if p.suffix in (".py", ".cpp", ".h", ".cu", ".cuh")
        ]
    used = {name for path in sources for name in variable.findall(path.read_text())}
    shown = set(variable.findall((DOCS / "backends.md").read_text()))
    assert used - shown == set(), "in the code alone"
    assert shown - used == set(), "on the page alone"


def test_recommenders_page_tells_what_was_measured():
    table = (ROOT / "examples" / "transfer_history" / "README.md").read_text()
    page = (DOCS / "recommenders.md").read_text()
    for name in (
        "mean rank (control)",
        "Model Spider on accuracies, k = 0",
        "Fennec on accuracies",
        "Model Spider on fused metrics, k = 0",
        "Fennec, as published",
        "LogME",
        "mean rank + LogME (control)",
        "Completion on LogME, 3 run",
        "Completion on LogME, 19 run",
        PROXIED,
    ):
        assert re.search(rf"[\s(]\{measured(table, name)[0]}[ ),;.]", page), name


PROXIED = "Completion on LogME and proxies, 0 run"


def measured(table, name):
    """The mean tau of a row of the made history, and its regret in points."""
    number = r"0(\.\d{3})"
    row = re.search(rf"^\| {re.escape(name)} \| \d+ \| {number} \|.*\| {number} \|$", table, re.M)
    return row[1], f"{100 * float(row[2]):.1f}"


def test_the_page_of_what_to_take_tells_what_was_measured():
    table = (ROOT / "examples" / "transfer_history" / "README.md").read_text()
    page = (DOCS / "which_model.md").read_text()
    for row, name in {
        "| none | parameter count | |": "parameter count (control)",
        "| none | | mean rank |": "mean rank (control)",
        "| none, but a proxy | | `Completion(proxies=True)` |": PROXIED,
        "| 3 | | `Completion` on LogME |": "Completion on LogME, 3 run",
        "| 5 | | `Completion` on the FDA score |": "Completion on FDA score, 5 run",
        "| 8 | | `Completion` on the FDA score |": "Completion on FDA score, 8 run",
        "| all 19 | LogME | |": "LogME",
        "| all 19 | | mean rank + LogME, nothing fitted |": "mean rank + LogME (control)",
        "| all 19 | | `Completion` on LogME |": "Completion on LogME, 19 run",
        "| all 19 | | `Completion` on the FDA score |": "Completion on FDA score, 19 run",
    }.items():
        tau, regret = measured(table, name)
        assert f"{row} {tau} | {regret} |" in page, name


README = (ROOT / "README.md").read_text()


def test_readme_has_the_commands_of_a_newcomer():
    lines = README.splitlines()  # noxfile.py runs them where there is nothing else
    assert "pip install . && transfer-kernels rank examples/digits_zoo" in lines
    assert 'pip install -e ".[test]" && pytest' in lines


def test_readme_claims_the_speed_of_its_table():
    ratios = [float(ratio) for ratio in re.findall(r"\| ([\d.]+)× \|", README)]
    assert len(ratios) >= 3
    claim = f" {int(min(ratios))} to {int(max(ratios))} times faster"
    assert claim in " ".join(README.split())


def test_readme_says_that_gpu_code_is_unproven_while_it_is():
    unproven = "None of this has run on a GPU" in (DOCS / "benchmarks.md").read_text()
    assert ("No GPU code has run on a GPU yet" in README) == unproven
    assert ("has run on a GPU yet" in (DOCS / "backends.md").read_text()) == unproven
    assert ("has run on a GPU yet" in (DOCS / "index.md").read_text()) == unproven


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", README)
    assert len(links) > 8
    for link in links:
        path, _, anchor = link.partition("#")
        target = ROOT / path if path else ROOT / "README.md"
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in [slug(title) for title in titles], link


def slug(title: str) -> str:
    """A title's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
