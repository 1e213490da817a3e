"""The documentation points to what exists, and the changelog begins with the present version."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from django.conf import settings

from cii_project.documentation.pages import files
from cii_project.urls import console

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
FENCED = re.compile(r"^```.*?^```|^    .*?$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# In code style: a path of this project, the file of a module, a module or what it holds.
PATH = re.compile(
    r"`((?:cii_project|checks|integrations|notifications|tests|docs|templates|static|\.ci)/[\w./-]*)`"
)
FILE = re.compile(r"`(\w+\.py)`")
DOTTED = re.compile(r"`((?:cii_project|checks|integrations|notifications)(?:\.\w+)+)`")
# The name of the kind that the guides invent.
EXAMPLE = "acme"
MODULES = {path.name for path in ROOT.glob("*/**/*.py")} | {"manage.py", "0001_initial.py"}


def _prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def _problem(page: Path, link: str) -> str | None:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return f"{link}: there is no such file"
    if anchor and anchor not in _anchors(target):
        return f"{link}: there is no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    links = [link for link in LINK.findall(_prose(page)) if not re.match(r"[a-z]+:", link)]
    assert [problem for link in links if (problem := _problem(page, link))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_module_and_function_that_is_named_exists(page):
    text = _prose(page)
    # A recipe's own files are written by whoever follows it.
    text = re.sub(r"^New file `.*`:$", "", text, flags=re.MULTILINE)
    missing = [path for path in PATH.findall(text) if not (ROOT / path).exists() and EXAMPLE not in path]
    missing += [name for name in FILE.findall(text) if name not in MODULES and EXAMPLE not in name]
    missing += [name for name in DOTTED.findall(text) if not _exists(name)]
    assert missing == []


def _exists(dotted: str) -> bool:
    parent, _, name = dotted.rpartition(".")
    try:
        import_module(dotted)
    except ModuleNotFoundError:
        return hasattr(import_module(parent), name)
    return True


GUIDES = {view.guide for one in console if (view := one.callback.view_class).guide}


@pytest.mark.parametrize("guide", sorted(GUIDES))
def test_the_guide_that_a_page_of_the_console_names_exists(guide):
    path, _, anchor = guide.partition("#")
    file = files()[path]
    assert not anchor or anchor in _anchors(ROOT / file)


def test_the_module_map_has_each_package_and_no_other():
    packages = {
        file.parent.relative_to(ROOT).as_posix() + "/"
        for app in ("cii_project", "checks", "integrations", "notifications")
        for file in (ROOT / app).rglob("__init__.py")
        if file.parent.name != "migrations"
    }
    # A kind is one folder; its guide says what it is.
    kinds = {
        package for package in packages if re.match(r"integrations/(targets|sources)/(?!shared/)\w", package)
    }
    listed = re.findall(r"^\| `([\w/]+/)` \|", (ROOT / "docs/module-map.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(packages - kinds)


def test_every_page_can_be_reached_from_the_readme():
    reached, rest = set(), [ROOT / "README.md"]
    while rest:
        page = rest.pop().resolve()
        if page in reached:
            continue
        reached.add(page)
        links = [link.partition("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8"))]
        found = [page.parent / link for link in links if link.endswith(".md") and "://" not in link]
        rest += [path for path in found if path.exists()]
    assert [page for page in PAGES if page.resolve() not in reached] == []


def test_the_changelog_begins_with_the_present_version():
    versions = re.findall(
        r"^## \[(.+?)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert versions[0] == settings.VERSION
    assert len(versions) == len(set(versions))
