"""Sphinx for the strict build of the documentation in .ci/run: each link and anchor must lead somewhere.

    sphinx-build -W --keep-going -c docs . build/docs

The product needs no build: it renders the same files below /docs/ (cii_project/documentation/).
"""

from typing import Any

from pygments.lexers.special import TextLexer

project = "Identity checks"
extensions = ["myst_parser"]
include_patterns = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", "docs/*.md", "docs/**/*.md"]
root_doc = "docs/README"
myst_heading_anchors = 4
# The first page lists the pages by plain links, which GitHub follows too, instead of a toctree.
suppress_warnings = ["toc.not_included"]
html_theme = "alabaster"


def setup(app: Any) -> None:
    """Take as text what Pygments has no language for."""
    for language in ("mermaid", "spl"):
        app.add_lexer(language, TextLexer)
