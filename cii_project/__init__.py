"""Composition root: settings, commands and the console. It knows every app."""

# The one place of the version: pyproject.toml, the User-Agent and CHANGELOG.md's test read it.
__version__ = "0.3.0"
