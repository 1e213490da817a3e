"""Logos of the kinds of target and source, and of the webhook's presets: SVG files in the kinds' folders, served as
static files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage

FOLDERS = ("targets", "sources")
ROOT = Path(__file__).parent


def logo_path(kind: str, name: str = "logo", *, folder: str = "targets") -> str:
    """The static path of a kind's logo, or of another SVG file in its folder."""
    return f"{folder}/{kind}/{name}.svg"


class LogoFinder(BaseFinder):
    """A staticfiles finder for ``integrations/{targets,sources}/<kind>/*.svg``, and for no other file of these folders."""

    def __init__(self, app_names: object = None, *args: object, **kwargs: object) -> None:
        self.storages = {folder: FileSystemStorage(location=ROOT / folder) for folder in FOLDERS}
        for folder, storage in self.storages.items():
            # Static file commands and WhiteNoise put it before the paths that list() yields.
            storage.prefix = folder  # type: ignore[attr-defined]

    def check(self, **kwargs: object) -> list[CheckMessage]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: object) -> str | list[str]:  # type: ignore[override]
        found = [
            str(ROOT / folder / name)
            for folder in FOLDERS
            for name in _names(folder)
            if f"{folder}/{name}" == path
        ]
        if find_all or kwargs.get("all"):
            return found
        return found[0] if found else []

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, FileSystemStorage]]:
        for folder, storage in self.storages.items():
            for name in _names(folder):
                yield name, storage


def _names(folder: str) -> list[str]:
    return sorted(path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).glob("*/*.svg"))
