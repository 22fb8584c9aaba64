"""How Sphinx makes the pages: `nox -s docs`, or `sphinx-build docs docs/_build`; no network."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import transfer_kernels
from transfer_kernels.cli.main import main
from transfer_kernels.kernels.declarations import declarations

project = "transfer_kernels"
author = "the transfer_kernels contributors"
version = release = transfer_kernels.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"transfer_kernels {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {"navigation_with_keys": True}
html_show_copyright = False
smartquotes = False  # code in prose keeps its quotes
pygments_style = "friendly"
pygments_dark_style = "native"

# Headings can be linked to as page.md#heading, as on GitHub.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

# A single backtick in a docstring is a reference, and one that leads nowhere is an error (-n).
default_role = "py:obj"
autodoc_typehints = "none"  # the docstrings tell types, with shapes
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autosummary_generate = False
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# What other libraries document; there is no inventory of them where there is no network.
nitpick_ignore_regex = [
    (r"py:.*", r"(numpy|np|pandas|matplotlib|torch|scipy|sklearn|collections|typing)(\..*)?"),
    (r"py:.*", r"(NDArray|Path|Tensor|ndarray|str|int|float|bool|dict|tuple|list)(\[.*)?"),
]


class CommandHelp(SphinxDirective):
    """``{command-help} rank``: what ``transfer-kernels rank --help`` prints."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            main([self.arguments[0], "--help"])
        return [nodes.literal_block(text.getvalue(), text.getvalue(), language="text")]


class DeclaredOps(SphinxDirective):
    """``.. declared-ops:: MODULE``: the functions that the manifests of all ops declare there."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        names = list(declarations())
        lines = [f".. currentmodule:: {self.arguments[0]}", "", ".. autosummary::", ""]
        lines += [f"   {name}" for name in names]
        lines += [""]
        module = importlib.import_module(self.arguments[0])
        for name in names:
            lines += [f".. autofunction:: {name}{signature_of_operator(getattr(module, name))}"]
        return self.parse_text_to_nodes("\n".join(lines))


def signature_of_operator(obj) -> str:
    """Arguments of the function behind a PyTorch operator; nothing for what is none."""
    function = getattr(obj, "_init_fn", None)
    if function is None:
        return ""
    parameters = inspect.signature(function).parameters.values()
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in parameters]
    return str(inspect.Signature(plain))


def docstring_of_operator(app, what, name, obj, options, lines):
    """Its docstring."""
    function = getattr(obj, "_init_fn", None)
    if function is not None:
        lines[:] = inspect.cleandoc(function.__doc__).splitlines()


def keep_numbers_whole(app, doctree, docname):
    """Tables of measurements scroll rather than break "0.85 s" over two lines."""
    if docname == "benchmarks":
        for table in doctree.findall(nodes.table):
            table["classes"].append("numbers")


def setup(app) -> None:
    os.environ["COLUMNS"] = "88"  # argparse folds its lines by it
    app.add_directive("command-help", CommandHelp)
    app.add_directive("declared-ops", DeclaredOps)
    app.connect("autodoc-process-docstring", docstring_of_operator, priority=100)
    app.connect("doctree-resolved", keep_numbers_whole)
