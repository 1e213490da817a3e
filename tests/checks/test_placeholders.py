"""Words for nothing and leftovers of broken exports: each by itself, as the smallest text that shows it."""

import pytest

from checks.importing.placeholders import (
    LONGEST_WORD,
    NO_ENTRY,
    NO_TEXT,
    UNKNOWN,
    fold,
    is_made_of,
    is_no_entry,
    is_no_text,
    is_unknown_word,
    leftover_advice,
    may_be_leftover,
    may_be_placeholder,
    may_hold_leftover,
    without_invisible,
)

# Who wrote it → leftovers.
LEFTOVERS = {
    "PowerShell": [
        "System.Object[]",
        "System.DirectoryServices",
        "Microsoft.Graph.PowerShell.Models",
        "Deserialized.System.String",
        "Selected.System.String",
        "MultiValuedProperty",
        "PropertyCollection",
        "Object[]",
        "My.Own.Type[]",
        "List`1[x",
        "@{Name=x",
        "{a, b...",
        "{a, b\N{HORIZONTAL ELLIPSIS}}",
        "a, b...}",
    ],
    "spreadsheet": ["#REF!", "#N/A", "####", "Err:502", "=VLOOKUP(A1)", "=$B$12:C13", "#NAME?"],
    "a program": [
        "[object Object]",
        "[object Object], [object Object]",
        "Array",
        "%!d(string=x)",
        "[Ljava.lang.String;@1a2b3c",
        "java.util.List@1a2b3c",
        "<User object at 0x7f00>",
        "<generator x>",
        "#<User:0x01>",
        "{{ user.roles }}",
        "${roles}",
        "<%= roles %>",
    ],
}


@pytest.mark.parametrize(
    ("writer", "text"), [(name, text) for name, all_ in LEFTOVERS.items() for text in all_]
)
def test_a_leftover_is_found_alone_and_in_a_record_and_names_its_writer(writer: str, text: str) -> None:
    assert writer in leftover_advice(text)
    assert leftover_advice(f" {text}\n") == leftover_advice(text)
    assert may_be_leftover(text)
    assert may_hold_leftover(repr({"roles": text}))
    assert may_hold_leftover(repr({"roles": ["x", text]}))


@pytest.mark.parametrize("text", ["", "Arrays", "C#", "a.b", "Collection of cars", "#12", "kim@example.com"])
def test_what_a_person_writes_is_no_leftover(text: str) -> None:
    assert leftover_advice(text) == ""


def test_each_writer_has_an_advice_of_its_own_that_ends_with_what_to_do() -> None:
    advices = {leftover_advice(texts[0]) for texts in LEFTOVERS.values()}
    assert len(advices) == len(LEFTOVERS)
    assert all(advice.endswith("export again") for advice in advices)
    assert all(advice.startswith(("PowerShell wrote", "this is", "a program wrote")) for advice in advices)


# The marks that need no other: a record whose repr has one of them is looked at.
@pytest.mark.parametrize(
    "mark",
    [
        "#",
        "System.",
        "Microsoft.",
        "Collection",
        "Deserialized.",
        "[]'",
        "@{",
        "'{",
        "${",
        "...",
        "…",
        "\\u2026",
        "object",
        "Err:",
        "%!",
        "Array",
        "'<",
        '"<',
        "'=",
        "java",
        "'[",
        "`",
        "Property",
    ],
)
def test_each_mark_alone_makes_a_record_worth_a_look(mark: str) -> None:
    assert may_hold_leftover(mark)


@pytest.mark.parametrize("text", ["{'login': 'kim', 'roles': 'owner'}", "", "{'mail': 'kim@example.com'}"])
def test_an_ordinary_record_is_not_worth_a_look(text: str) -> None:
    assert not may_hold_leftover(text)


@pytest.mark.parametrize("text", ["Array", "AttributeCollection", "a]", "[a", "x.y", "Err:1", "50%"])
def test_a_value_with_a_mark_is_worth_a_look(text: str) -> None:
    assert may_be_leftover(text)


@pytest.mark.parametrize("text", ["", "kim", "Arrays", "array", "Collections", "err:1"])
def test_a_value_without_a_mark_is_not(text: str) -> None:
    assert not may_be_leftover(text)


def test_a_text_is_worth_a_look_up_to_the_longest_word() -> None:
    assert may_be_placeholder("x" * LONGEST_WORD)
    assert not may_be_placeholder("x" * (LONGEST_WORD + 1))
    assert not may_be_placeholder("sms:off")
    assert not may_be_placeholder("sms|push")
    assert max(map(len, NO_ENTRY | UNKNOWN)) <= LONGEST_WORD


def test_no_word_for_nothing_ends_with_a_digit_from_one() -> None:
    assert not [word for word in NO_ENTRY if word[-1:] in set("123456789")]


@pytest.mark.parametrize(
    ("text", "is_nothing", "is_unknown"),
    [
        ("none", True, False),
        ("n/a", True, False),
        ("--", True, False),
        ("none none", True, False),
        ("none+none", True, False),
        ("n/a 0 factors", True, False),
        ("no active factors n/a", True, False),
        ("unknown", False, True),
        ("none unknown", False, True),
        ("unknown none", False, True),
        ("unable to determine none", False, True),
        ("none sms", False, False),
        ("sms none", False, False),
        ("sms?", False, False),
        ("sms", False, False),
    ],
)
def test_nothing_unknown_and_something(text: str, is_nothing: bool, is_unknown: bool) -> None:
    assert is_no_entry(text) is is_nothing
    assert is_unknown_word(text) is is_unknown


def test_a_question_mark_alone_says_unknown() -> None:
    assert is_unknown_word("?")
    assert is_unknown_word("-?-")
    assert is_unknown_word("***")
    assert not is_unknown_word("--")


def test_a_phrase_has_up_to_five_words_and_no_word_is_left_over() -> None:
    phrases = {"abcde", "abcdef", "x"}
    assert is_made_of(phrases, "a b c d e")
    assert is_made_of(phrases, "x a b c d e x")
    assert not is_made_of(phrases, "a b c d e f")  # six
    assert not is_made_of(phrases, "x a b c d")
    assert not is_made_of(phrases, "y x")
    assert not is_made_of(phrases, "x y")


@pytest.mark.parametrize("text", [*sorted(NO_TEXT), "N/A", "Not Available"])
def test_each_word_for_nothing_of_a_text_is_one_in_any_case(text: str) -> None:
    assert is_no_text(text)


@pytest.mark.parametrize("text", ["NA", "0", "x" * 15, "none of these", ""])
def test_a_code_or_a_longer_text_is_something(text: str) -> None:
    assert not is_no_text(text)


def test_a_word_is_the_same_in_each_spelling() -> None:
    assert {
        fold(word) for word in ("PASSWORD_EXPIRED", "Password expired", "passwordExpired", "password-expired")
    } == {"passwordexpired"}


def test_what_nobody_sees_goes_and_joiners_stay_in_names() -> None:
    text = "a\u200bb\u200cc\u200dd\ufeff"
    assert without_invisible(text) == "abcd"
    assert without_invisible(text, keep_joiners=True) == "ab\u200cc\u200dd"
