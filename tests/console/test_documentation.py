"""The documentation below /docs/: every page opens and every link leads on. (tests/test_docs.py: the guides that pages name.)"""

import os
import re
from urllib.parse import urldefrag, urljoin

import pytest

from cii_project.documentation import pages
from cii_project.documentation.pages import files, find_page, guide_of_target, sections
from cii_project.documentation.rendering import render
from integrations.services import KINDS, PRESETS, SOURCE_KINDS
from tests.console.checks_world import client_of, text

pytestmark = pytest.mark.django_db
HREF = re.compile(r'(?:href|src)="([^"]+)"')


def anchors(path: str) -> set[str]:
    page = find_page(path)
    assert page, f"There is no page {path!r}."
    return set(re.findall(r'<h\d id="([^"]+)"', page.html))


@pytest.mark.parametrize("path", files(), ids=lambda path: path or "first page")
def test_a_page_has_a_title_and_each_of_its_links_leads_to_a_page_a_heading_or_a_picture(path):
    page = find_page(path)
    assert page
    assert page.title
    here = f"/docs/{path}/" if path else "/docs/"
    for href in HREF.findall(page.html):
        url, anchor = urldefrag(urljoin(here, href.replace("&amp;", "&")))
        if not url.startswith("/"):
            continue
        assert url.startswith("/docs/"), href
        name = url.removeprefix("/docs/")
        if name.startswith("screenshots/"):
            assert pages.picture(name.removeprefix("screenshots/")), href
        else:
            assert not anchor or anchor in anchors(name), href
            assert find_page(name), href


def test_the_first_page_lists_every_page_once():
    listed = [path for section in sections() for path, _ in section.pages]
    assert sorted(listed) == sorted(set(files()) - {""})
    assert all(section.title for section in sections())


def test_every_kind_preset_and_source_has_a_guide_of_its_own():
    for slug in [*KINDS, *(preset.slug for preset in PRESETS)]:
        assert guide_of_target(slug) == ("webhooks" if slug == "webhook" else f"targets/{slug}")
        assert find_page(guide_of_target(slug))
    assert [slug for slug in SOURCE_KINDS if find_page(f"sources/{slug}") is None] == []


def test_pages_and_forms_link_to_their_guide():
    client = client_of("Engineer")
    for page, guide in {
        "/integrations/add/slack/": "/docs/targets/slack/",
        "/integrations/add/webhook/": "/docs/webhooks/",
        "/integrations/add/datadog/": "/docs/targets/datadog/",
        "/integrations/add-source/okta/": "/docs/sources/okta/",
        "/integrations/sources/": "/docs/sources/",
        "/checks/": "/docs/checks/",
        "/settings/": "/docs/configuration/",
        "/users/": "/docs/importing/",
    }.items():
        assert f'href="{guide}" class="c-guide"' in text(client.get(page)), page


def test_every_member_reads_it_and_nobody_else():
    assert client_of("").get("/docs/").status_code == 403
    viewer = client_of("Viewer")
    page = text(viewer.get("/docs/targets/slack/"))
    assert "<h1" in page
    assert 'aria-current="page">Slack</a>' in page
    assert viewer.get("/docs/screenshots/check.png").headers["Content-Type"] == "image/png"
    for missing in (
        "/docs/nothing/",
        "/docs/screenshots/nothing.png",
        "/docs/../manage.py/",
        "/docs/settings.md/",
    ):
        assert viewer.get(missing).status_code == 404, missing


def test_a_search_finds_a_guide_by_its_title():
    page = text(client_of("Viewer").get("/search/?q=slack"))
    assert 'href="/docs/targets/slack/"' in page


def test_a_changed_file_is_rendered_again(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    file = tmp_path / "docs/README.md"
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    file.write_text("# First\n")
    assert find_page("").title == "First"
    file.write_text("# Second\n")
    # A clock may give both writes the same time.
    os.utime(file, ns=(1, 1))
    assert find_page("").title == "Second"


def test_without_its_folder_the_product_has_no_documentation_and_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    assert client_of("Viewer").get("/docs/").status_code == 404
    assert sections() == ()


class TestRendering:
    def test_no_markup_of_a_text_counts(self):
        done = render(
            "# <b>T</b>\n\n<script>x</script> `<i>` [a](javascript:x)\n\n    <u>\n", lambda link: link.href
        )
        assert done.title == "<b>T</b>"
        assert "<script" not in done.html
        assert "<i>" not in done.html
        assert "<u>" not in done.html
        assert "javascript:" not in re.sub(r"\[a\]\(javascript:x\)", "", done.html)

    def test_a_link_that_leads_nowhere_is_its_text(self):
        done = render(
            "# T\n\n[the script](../.ci/run), [a page](a.md)\n",
            lambda link: "/a/" if link.href == "a.md" else "",
        )
        assert done.html == '<p>the script, <a href="/a/">a page</a></p>\n'

    def test_headings_get_the_anchors_of_github(self):
        done = render("# T\n\n## `A` b: c_d\n\n## Same\n\n## Same\n", lambda link: link.href)
        assert [heading.anchor for heading in done.headings] == ["a-b-c_d", "same", "same-1"]

    def test_a_picture_keeps_its_text_for_those_without_scripts(self):
        done = render("# T\n\n```mermaid\nflowchart LR\n    a --> b\n```\n", lambda link: link.href)
        assert done.has_picture
        assert "a --&gt; b" in done.html
