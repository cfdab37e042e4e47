"""How Sphinx builds the documentation: `make docs`. Everything is offline, equations included."""

from __future__ import annotations

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

import earwitness

project = "earwitness"
author = copyright = "The earwitness authors"
release = earwitness.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "earwitness"
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True


def mathml(translator, node: nodes.math | nodes.math_block) -> None:
    """MathML, which browsers draw by themselves: no script, no font from elsewhere."""
    translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def plain_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text, which reStructuredText would read signs into."""
    paragraphs = "\n".join(lines).strip().split("\n\n")
    lines[:] = [*"\n\n".join(map(as_rst, paragraphs)).splitlines(), ""]


def as_rst(paragraph: str) -> str:
    """`words` become code. An indented paragraph stays as it is; one that is so in part keeps its lines."""
    rows = paragraph.splitlines()
    if all(row.startswith(" ") for row in rows):
        return f"::\n\n{paragraph}"
    if any(row.startswith(" ") for row in rows):
        return "\n".join(f"| {escaped(row)}" for row in rows)
    return escaped(paragraph)


def escaped(text: str) -> str:
    pieces = re.split("`([^`]+)`", text)
    pieces[::2] = [re.sub(r"([\\*_|])", r"\\\1", piece) for piece in pieces[::2]]
    pieces[1::2] = [f"``{piece}``" for piece in pieces[1::2]]
    return "".join(pieces)


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.connect("autodoc-process-docstring", plain_docstring)
