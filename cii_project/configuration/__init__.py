"""The installation's configuration from a file that operators keep in git; ``docs/configuration.md``."""

from cii_project.configuration.applying import ApplyReport, apply_config
from cii_project.configuration.reading import ConfigurationErrors, read_file

__all__ = ["ApplyReport", "ConfigurationErrors", "apply_config", "read_file"]
