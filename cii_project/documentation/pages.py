"""The pages of the documentation: which files they are, at which path each is served, and how a link finds one.

The files are those that a reader of the repository sees; nothing is built. ``docs/README.md`` is the first page and
lists all others, by section.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from cii_project.documentation.rendering import Heading, Link, links_of, render

ROOT = Path(settings.BASE_DIR)
FOLDER = "docs"
INDEX = f"{FOLDER}/README.md"
PICTURES = f"{FOLDER}/screenshots"
# Files outside docs/ that belong to the documentation.
OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md")


@dataclass(frozen=True, slots=True)
class DocumentationPage:
    """``path``: what follows /docs/ in its address, such as ``targets/slack``; "" for the first page. ``html``: the
    text without the title. ``section``: the heading of the first page under which it is listed."""

    path: str
    title: str
    html: str
    headings: tuple[Heading, ...]
    has_picture: bool
    section: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the first page and the pages that it lists: (path, title)."""

    title: str
    pages: tuple[tuple[str, str], ...]


def files() -> Mapping[str, str]:
    """Path → file, relative to the folder of the product."""
    found = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / FOLDER).rglob("*.md"))
    return {_path_of(file): file for file in [*found, *OUTSIDE] if (ROOT / file).is_file()}


def _path_of(file: str) -> str:
    """``docs/targets/slack.md`` → ``targets/slack``; a README is its folder's page."""
    path = file.removeprefix(f"{FOLDER}/").removesuffix(".md")
    return path.removesuffix("README").rstrip("/") if file.startswith(FOLDER) else path.lower()


def find_page(path: str) -> DocumentationPage | None:
    """The page at ``/docs/<path>/``, None where there is none. A file that was changed is rendered again."""
    file = files().get(path.strip("/"))
    if file is None:
        return None
    return _page(file, _path_of(file), (ROOT / file).stat().st_mtime_ns)


def sections() -> tuple[Section, ...]:
    """The sections of the first page, in their order, with the titles that their links have there."""
    if not (ROOT / INDEX).is_file():
        return ()
    return _sections((ROOT / INDEX).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _sections(changed: int) -> tuple[Section, ...]:
    by_heading: dict[str, dict[str, str]] = {}
    for heading, link in links_of((ROOT / INDEX).read_text(encoding="utf-8")):
        address = _target(INDEX, link)
        if address and address.path is not None:
            by_heading.setdefault(heading, {}).setdefault(address.path, link.text)
    return tuple(Section(heading, tuple(pages.items())) for heading, pages in by_heading.items())


@lru_cache(maxsize=256)
def _page(file: str, path: str, changed: int) -> DocumentationPage:
    rendered = render((ROOT / file).read_text(encoding="utf-8"), lambda link: _address(file, link))
    section = next((one.title for one in sections() if path in dict(one.pages)), "")
    return DocumentationPage(
        path, rendered.title, rendered.html, rendered.headings, rendered.has_picture, section
    )


@dataclass(frozen=True, slots=True)
class _LinkTarget:
    path: str | None = None
    picture: str = ""
    anchor: str = ""


def _target(file: str, link: Link) -> _LinkTarget | None:
    """The target of a relative link in ``file``: a page, a picture, or None for others, such as a file of the
    source."""
    name, _, anchor = link.href.partition("#")
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(file), name)) if name else file
    if joined.startswith(f"{PICTURES}/"):
        return _LinkTarget(picture=joined.removeprefix(f"{PICTURES}/"))
    # The product's README is about the repository; its place here is taken by the first page.
    joined = INDEX if joined in ("README.md", FOLDER) else joined
    path = _path_of(joined)
    return _LinkTarget(path, anchor=anchor) if files().get(path) == joined else None


def _address(file: str, link: Link) -> str:
    """The address of what a link in ``file`` leads to; empty where it is not served."""
    if link.is_external:
        return link.href
    target = _target(file, link)
    if target is None:
        return ""
    if target.picture:
        return f"/docs/screenshots/{target.picture}"
    return address_of(target.path or "", target.anchor)


def address_of(path: str, anchor: str = "") -> str:
    """``address_of("targets/slack", "set-up")`` → ``/docs/targets/slack/#set-up``."""
    return "/docs/" + (f"{path}/" if path else "") + (f"#{anchor}" if anchor else "")


def picture(name: str) -> Path | None:
    """The file of a screenshot, None where there is none of that name."""
    return next((file for file in (ROOT / PICTURES).glob("*.png") if file.name == name), None)


def guide_of_target(slug: str) -> str:
    """The path of the guide to a kind of target or to a preset of the webhook."""
    path = f"targets/{slug}"
    return path if path in files() else "webhooks"
