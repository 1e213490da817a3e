"""The base of this package's errors."""


class ProjectError(Exception):
    """An error whose text can be shown: what is wrong, what is expected, what to do."""
