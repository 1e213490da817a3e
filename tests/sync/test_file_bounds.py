"""A file is read within bounds: of memory, of size, of time, and of records."""

import tracemalloc

import pytest

from integrations.source_data import Fault, SourceFault
from integrations.sources.shared import file_call
from integrations.sources.shared.file_call import FileReading, OpenFile
from integrations.sources.shared.file_records import packed, unpacked

ROW = b"user%06d,user%06d@example.com,Finance,active\n"


def file_of(pieces, name="users.csv", **values):
    rest = b""
    waiting = iter(pieces)

    def read(size):
        nonlocal rest
        while not rest:
            rest = next(waiting, None)
            if rest is None:
                rest = b""
                return b""
        piece, rest = rest[:size], rest[size:]
        return piece

    return OpenFile(name=name, read=read, close=lambda: None, **values)


def test_a_hundred_thousand_records_take_the_memory_of_one_page():
    def content():
        yield b"login,email,department,status\n"
        for number in range(100_000):
            yield ROW % (number, number)

    reading = FileReading(file_of(content()))
    tracemalloc.start()
    while len(reading.page(2_000)) == 2_000:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reading.read == 100_000
    assert peak < 12 * 1024 * 1024


BAD = {
    "a file over the limit": ([b"login\n", *[b"x" * 1_000 + b"\n"] * 3_000], "larger than 1 MiB"),
    "a record over the limit": (
        [b"login,a\n", b'kim,"', b"x" * 1_100_000],
        "larger than 1,048,576 characters",
    ),
    "too deep a record": (
        [b'[{"login": "kim", "a": ', b"[" * 50, b"]" * 50, b"}]"],
        "more than 32 levels deep",
    ),
    "too full a record": ([b'[{"login": "kim", "a": [', b"1," * 60_000, b"1]}]"], "more than 50,000 values"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_exceeds_a_bound_is_refused_with_the_bound(name, monkeypatch):
    pieces, sentence = BAD[name]
    if name == "a file over the limit":
        monkeypatch.setattr(file_call, "MAX_FILE", 1024 * 1024)
    reading = FileReading(file_of(pieces, "users" if b"[" in pieces[0] else "users.csv"))
    with pytest.raises(SourceFault, match=sentence) as raised:
        list(iter(lambda: reading.page(100), []))
    assert raised.value.fault is Fault.REFUSED


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("report", b'{"Report_Entry": [{"login": "kim"}]}', "json"),
        ("report", b'[{"login": "kim"}]', "json"),
        ("report", b'{"login": "kim"}\n{"login": "lee"}\n', "jsonl"),
        ("report", b"login;email\nkim;\n", "csv"),
        ("users.tsv", b"login\temail\nkim\t\n", "csv"),
    ],
)
def test_a_format_is_known_by_name_and_content(name, content, kind):
    reading = FileReading(file_of([content], name))
    assert reading.page(10)[0]["record"]["login"] == "kim"
    assert reading.format.slug == kind


def test_a_format_that_is_chosen_is_used_whatever_the_name_says():
    reading = FileReading(file_of([b'[{"login": "kim"}]'], "users.csv"), "json")
    assert reading.page(10)[0]["record"] == {"login": "kim"}


def test_an_unreadable_row_comes_out_of_the_spool_as_it_went_in():
    reading = FileReading(file_of([b"login,title\nkim\nlee,a,b\n"]))
    short, long = (unpacked(each) for each in reading.page(10))
    assert (short[0], short[1].original) == (2, {"login": "kim", "title": ""})
    assert (long[0], long[1].original) == (3, {"login": "lee", "title": "a", None: ["b"]})
    assert "2 cells like the header (it has 3)" in long[1].problem[2]


def test_a_number_that_no_column_can_hold_makes_its_record_unreadable_and_no_other():
    big, small = packed((1, {"login": "kim", "n": 10**30})), packed((2, {"login": "lee", "n": 1}))
    assert unpacked(big)[1].original == {"login": "kim", "n": str(10**30)}
    assert unpacked(small) == (2, {"login": "lee", "n": 1})
