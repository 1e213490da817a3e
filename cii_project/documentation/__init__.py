"""The documentation as the product serves it: the Markdown files of ``docs/``, rendered when they are read."""
