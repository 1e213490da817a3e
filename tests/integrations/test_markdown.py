"""What an author may format in a message: emphasis, lists and links. Values among it are text, whatever they hold."""

import time

import pytest
from hypothesis import given, strategies as st

from integrations.formatted_text import (
    ItemList,
    MessageText,
    Paragraph,
    TextSpan,
    length_of,
    lines_of,
    links_of,
    plain_text,
    sections_of,
    shortened,
    unformatted,
)
from integrations.targets.shared.formatted_html import to_html
from integrations.templating.markdown import active, inert, parse_markdown
from tests.examples import examples
from tests.integrations.targets.events import HOSTILE


def paragraph(*lines, is_apart=True):
    return Paragraph(tuple(lines), is_apart)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("One *a* **b** _c_ __d__", "<p>One <em>a</em> <strong>b</strong> <em>c</em> <strong>d</strong></p>"),
        ("***both***", "<p><strong><em>both</em></strong></p>"),
        ("snake_case_name and 2 * 3 * 4", "<p>snake_case_name and 2 * 3 * 4</p>"),
        (r"\*literal\* \[a\](b)", "<p>*literal* [a](b)</p>"),
        ("One\ntwo\n\nthree", "<p>One<br>two</p><p>three</p>"),
        ("- a\n- b\n  more", "<ul><li>a</li><li>b<br>more</li></ul>"),
        ("To do:\n- a\n* b\n+ c", "<p>To do:</p><ul><li>a</li></ul><ul><li>b</li></ul><ul><li>c</li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("- a\n  - inner\n- b", "<ul><li>a</li><li>inner</li><li>b</li></ul>"),
        ("- a\n\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("-", "<ul><li></li></ul>"),
        ("- a\nPlease", "<ul><li>a</li></ul><p>Please</p>"),
        ("[see *this*](https://a.example/x)", '<p><a href="https://a.example/x">see </a>'
         '<a href="https://a.example/x"><em>this</em></a></p>'),
        ("[mail](mailto:help@a.example?subject=x)", '<p><a href="mailto:help@a.example?subject=x">mail</a></p>'),
        ("<https://a.example/>", '<p><a href="https://a.example/">https://a.example/</a></p>'),
        ("At https://a.example/b_c_d?e=1&f=2.", '<p>At <a href="https://a.example/b_c_d?e=1&amp;f=2">'
         "https://a.example/b_c_d?e=1&amp;f=2</a>.</p>"),
        ("(https://a.example/x)", '<p>(<a href="https://a.example/x">https://a.example/x</a>)</p>'),
        # Not in the subset: text as it is written.
        ("# Title", "<p># Title</p>"),
        ("> quote", "<p>&gt; quote</p>"),
        ("`code` ~~x~~ | a |", "<p>`code` ~~x~~ | a |</p>"),
        ("<b onclick=x>&amp;</b>", "<p>&lt;b onclick=x&gt;&amp;amp;&lt;/b&gt;</p>"),
        ("    indented", "<p>indented</p>"),
        ("---", "<p>---</p>"),
        ("[a]: https://a.example\n[a]", '<p>[a]: <a href="https://a.example">https://a.example</a><br>[a]</p>'),
    ],
)  # fmt: skip
def test_the_subset(text, html):
    assert to_html(parse_markdown(text)).replace(' dir="auto"', "") == html


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://a.example",
        "file:///etc/passwd",
        "//a.example",
        "/checks",
        "https://user@a.example/",
        "https://",
        "mailto:",
        "mailto:x",
        "JaVaScRiPt://a.example/%0aalert(1)",
    ],
)
def test_only_web_and_mail_addresses_are_links(address):
    assert links_of(parse_markdown(f"[a]({address}) <{address}>")) == []


# --- Values among it --------------------------------------------------------------------------------
TEMPLATE = "Hello **{}**, *{}*\n\n- {}\n- [see {}](https://a.example/?login={})\n\n1. {}\n{}\n\nhttps://a.example/{} {}"


def structure(blocks):
    """The blocks with an x for each text."""
    return [
        (type(block), [[(run.bold, run.italic, bool(run.url)) for run in line] for line in lines_of(block)])
        for block in blocks
    ]


def filled(value):
    return parse_markdown(TEMPLATE.format(*[inert(value)] * TEMPLATE.count("{}")))


@pytest.mark.parametrize(
    "value",
    [
        *(text[:500] for text in HOSTILE),
        "\U000f003c\U000f005b",
        "\ud800",
        "x\0y",
        "**",
        "- a",
        "1. a",
        " ",
        "😀*",
    ],
)
def test_a_value_changes_no_structure(value):
    one_line = value.replace("\r\n", " ")
    assert structure(filled(one_line)) == structure(filled("x"))
    hosts = [url.split("/")[2] for _, url in links_of(filled(value))]
    assert hosts == ["a.example", "a.example"]


# No database holds a lone surrogate (Cs).
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1, max_size=20))
@examples(200)
def test_no_value_changes_the_structure_and_all_of_it_is_shown(value):
    blocks = filled(value)
    assert structure(blocks) == structure(filled("x"))
    shown = value.replace("\0", "\ufffd")
    assert lines_of(blocks[0])[0][1] == TextSpan(shown, bold=True)
    assert active(inert(value)) == shown


def test_a_value_of_several_lines_breaks_its_line_and_makes_no_list():
    value = inert("b\n- c")
    assert parse_markdown(f"a {value} d") == (paragraph((TextSpan("a b"),), (TextSpan("- c d"),)),)


@pytest.mark.parametrize(
    "text", ["https://{}/", "https://a.example{}/", "[x]({})", "{}//a.example", "[x](mailto:{}@a.b)"]
)
def test_a_value_is_no_address_and_no_part_of_a_host(text):
    for value in ("https://evil.example", "evil.example", "https:", ".evil.example", "a"):
        urls = [url for _, url in links_of(parse_markdown(text.format(inert(value))))]
        assert urls == [], value


def test_an_address_of_over_2000_characters_is_text():
    long = "x" * 2_000
    assert links_of(parse_markdown(f"[a](https://a.example/{long}) https://a.example/{long}")) == []
    assert links_of(parse_markdown(f"[a](https://a.example/{inert(long)})")) == []


def test_a_value_in_an_address_is_encoded():
    value = inert('a b)"<ü')
    assert links_of(parse_markdown(f"[x](https://a.example/?q={value}&r=1)")) == [
        ("x", "https://a.example/?q=a%20b%29%22%3C%C3%BC&r=1")
    ]


# --- Plain text and parts ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("**Hello**,\nyou\n\n- a\n- b\nEnd", "Hello,\nyou\n\n- a\n- b\nEnd"),
        ("9. a\n10. b\n    c", "9. a\n10. b\n    c"),
        ("See [the *guide*](https://a.example/g).", "See the guide (https://a.example/g)."),
        ("https://a.example/ and <help@a.example>", "https://a.example/ and help@a.example"),
        ("[help@a.example](mailto:help@a.example)", "help@a.example"),
        ("a\n\n\n\nb", "a\n\nb"),
    ],
)  # fmt: skip
def test_plain_text_keeps_lines_lists_and_addresses(text, plain):
    message = MessageText(parse_markdown(text))
    assert message == plain
    assert message.blocks == parse_markdown(text)


def test_each_address_counts_once_as_a_link():
    text = "[a **b**](https://a.example) [c](https://a.example) https://b.example"
    assert links_of(parse_markdown(text)) == [
        ("a b", "https://a.example"),
        ("https://b.example", "https://b.example"),
    ]


def test_text_without_formatting_is_paragraphs_of_lines():
    assert unformatted("a *b*\nc\n\n\n\nd") == (
        paragraph((TextSpan("a *b*"),), (TextSpan("c"),)),
        paragraph((TextSpan("d"),)),
    )


def test_a_section_is_what_no_blank_line_divides():
    assert [plain_text(section) for section in sections_of(parse_markdown("a\n- b\n\nc\n\n- d"))] == [
        "a\n- b",
        "c",
        "- d",
    ]


@pytest.mark.parametrize(
    ("most", "plain"),
    [
        (100, "Hello you\n- one (https://a.example)\n- two"),
        (35, "Hello you\n- one (https://a.example)\n- t…"),
        (34, "Hello you\n- one (https://a.example)\n- …"),
        (20, "Hello you\n- one…"),
        (11, "Hello you\n- o…"),
        (6, "Hello…"),
        (1, "…"),
    ],
)
def test_a_text_is_shortened_within_its_styles(most, plain):
    blocks = parse_markdown("Hello **you**\n- [one](https://a.example)\n- two")
    short = shortened(blocks, most)
    assert plain_text(short) == plain
    assert length_of(short) <= most
    assert {type(block) for block in short} <= {Paragraph, ItemList}


# --- Bounds -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "part",
    ["[", "**a*_", "_*", "[a](", "\\[", "- ", "-\n", "1. ", "http://", "<", "***a", "> ", "[a](https://b.c)"],
)
def test_no_text_takes_long(part):
    start = time.thread_time()
    parse_markdown(part * (65_536 // len(part)))
    assert time.thread_time() - start < 10
