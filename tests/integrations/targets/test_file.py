"""Events in a file or on standard output: whole lines, in order, inside the data folder."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integrations.target_data import InvalidDocument
from integrations.targets.file import kind
from integrations.targets.file.kind import File
from integrations.transport.results import Result
from tests.integrations.targets import events

KIND = File()


@pytest.fixture
def folder(tmp_path: Path, settings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "events"


def to_file(name: str = "events.jsonl"):
    return events.target(KIND, {"destination": "file", "file_name": name})


def test_each_event_is_a_line_of_a_file_that_only_the_owner_reads(folder):
    for _ in range(2):
        assert events.send(KIND, events.failed(), to_file()).result is Result.DELIVERED
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [events.failed()] * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_line_breaks_in_a_name_make_no_line(folder):
    event = events.failed([events.user(login) for login in events.HOSTILE])
    events.send(KIND, event, to_file())
    assert len((folder / "events.jsonl").read_bytes().splitlines()) == 1


def test_many_writers_at_once_do_not_mix_their_lines(folder):
    event = events.failed(events.users(500))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: events.send(KIND, event, to_file()), range(40)))
    lines = (folder / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [event["id"]] * 40


def test_a_rotated_file_is_started_again(folder):
    events.send(KIND, events.failed(), to_file())
    (folder / "events.jsonl").rename(folder / "events.jsonl.1")
    events.send(KIND, events.failed(), to_file())
    assert len((folder / "events.jsonl").read_text().splitlines()) == 1


def test_a_full_disk_leaves_no_half_line_and_is_our_own_fault(folder, monkeypatch):
    events.send(KIND, events.failed(), to_file())
    before = (folder / "events.jsonl").read_bytes()
    write = os.write
    calls = iter([True, False])

    def full(handle: int, data: bytes) -> int:
        if next(calls):
            return write(handle, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kind.os, "write", full)
    outcome = events.send(KIND, events.failed(), to_file())
    assert outcome.result is Result.OURS
    assert "No space left" in outcome.reason
    assert (folder / "events.jsonl").read_bytes() == before


def test_a_link_out_of_the_folder_is_not_followed(folder, tmp_path):
    folder.mkdir()
    (folder / "events.jsonl").symlink_to(tmp_path / "elsewhere")
    assert events.send(KIND, events.failed(), to_file()).result is Result.OURS
    assert not (tmp_path / "elsewhere").exists()


def test_standard_output_gets_the_line(capfdbinary):
    to = events.target(KIND, {"destination": "stdout"})
    assert events.send(KIND, events.failed(), to).result is Result.DELIVERED
    assert json.loads(capfdbinary.readouterr().out) == events.failed()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", ".hidden", "x" * 101, "a\nb"])
def test_a_name_stays_inside_the_folder(name):
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean({"destination": "file", "file_name": name})
    assert list(caught.value.errors) == ["file_name"]
