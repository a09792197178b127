"""The lock file says exactly what is known, to a person too, and what is not understood is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp.errors import ConfigError
from aegis_mcp.pins import book as books
from aegis_mcp.pins.book import Binding, Book, Section
from aegis_mcp.pins.definition import Definition, Kind
from aegis_mcp.pins.storage import MAX_FILE, PinFile
from support.definitions import NOW, ORIGIN, first_use, lock_file, named

BODIES = st.dictionaries(st.text(max_size=6), st.text(max_size=6) | st.integers() | st.lists(st.booleans()), max_size=3)
DEFINITIONS = st.dictionaries(st.tuples(st.sampled_from(Kind), st.text(max_size=6)), BODIES.map(Definition.of))
SECTIONS = st.builds(Section, st.text(), st.text(), st.frozensets(st.sampled_from(Kind)), DEFINITIONS, DEFINITIONS)
BOOKS = st.builds(Book, st.dictionaries(st.builds(Binding, st.text(), st.text()), SECTIONS, max_size=3))

SHA256: Final = Binding.of("files", ORIGIN).origin_sha256
PLACE: Final = f"servers/files/{SHA256[:12]}"
ECHO: Final = Definition.of(named("echo")["echo"])


def _document(**changed: Any) -> dict[str, Any]:
    pin = {"definition": dict(ECHO.body), "sha256": ECHO.sha256}
    section = {
        "first_pinned": NOW,
        "pending": {},
        "pinned": {"tool": {"echo": pin}},
        "program": "npx",
        "settled": ["tool"],
    }
    return {"servers": {"files": {SHA256: section | changed}}, "version": 1}


def _refusal(directory: Path, text: str | bytes) -> str:
    file = lock_file(directory)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as refused:
        PinFile(file).read()
    prefix, suffix = f"the pins {str(file)!r} ", "; restore it, or remove it to pin anew"
    message = str(refused.value)
    assert message.startswith(prefix)
    assert message.isprintable()
    return message.removeprefix(prefix).removesuffix(suffix).removeprefix("cannot be used: ")


@given(BOOKS)
def test_what_is_written_is_read_again(book: Book) -> None:
    text = books.encode(book)
    assert books.decode(text) == book
    assert text.isascii()


def test_a_person_can_read_it(tmp_path: Path) -> None:
    first_use(tmp_path, "echo")
    document = json.loads(lock_file(tmp_path).read_bytes())
    since = document["servers"]["files"][SHA256]["first_pinned"]
    assert document == _document(first_pinned=since)
    assert lock_file(tmp_path).read_text(encoding="ascii") == json.dumps(document, indent=2, sort_keys=True) + "\n"


def test_it_is_for_its_owner_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    first_use(tmp_path, "echo")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"policy.pins.json": 0o600, "policy.pins.lock": 0o600}


def test_a_directory_that_is_not_there_yet_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    first_use(tmp_path / "aegis", "echo")
    assert (tmp_path / "aegis").stat().st_mode & 0o777 == 0o700


def test_an_absent_file_says_nothing(tmp_path: Path) -> None:
    assert PinFile(lock_file(tmp_path)).read() == Book()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "the file is not an object"),
        ({"version": 1}, "the file has not exactly servers, version"),
        ({"servers": {}, "version": 2}, "its version is not 1; another release has written it"),
        ({"servers": {}, "version": 1, "more": 1}, "the file has not exactly servers, version"),
        ({"servers": [], "version": 1}, "servers is not an object"),
        ({"servers": {"a\x1b": []}, "version": 1}, "servers/a\\x1b is not an object"),
        (
            _document(more=1),
            f"{PLACE} has not exactly first_pinned, pending, pinned, program, settled",
        ),
        (_document(program=1), f"{PLACE}: `program` and `first_pinned` are texts"),
        (_document(settled=["x"]), f"{PLACE}/settled: only server, tool, prompt are known here"),
        (_document(settled=1), f"{PLACE}/settled: only server, tool, prompt are known here"),
        (
            _document(pinned={"resource": {}}),
            f"{PLACE}/pinned: only server, tool, prompt are known here",
        ),
        (
            _document(pinned={"tool": {"e\u202e": {"definition": {}, "sha256": "0"}}}),
            f"{PLACE}/pinned/tool/e\\u202e: the definition is not the one that its sha256 speaks of",
        ),
        (
            _document(pending={"tool": {"echo": {"definition": {}}}}),
            f"{PLACE}/pending/tool/echo has not exactly definition, sha256",
        ),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(tmp_path: Path, document: object, reason: str) -> None:
    assert _refusal(tmp_path, json.dumps(document)) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1 is not JSON"),
        ("{\n,", "line 2 is not JSON"),
        (b"\xff", "it is not UTF-8"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"version": 1, "version": 1}', "an object has the same key twice"),
        ('{"version": NaN}', "NaN is not JSON"),
    ],
)
def test_what_is_not_json_is_refused(tmp_path: Path, text: str | bytes, reason: str) -> None:
    assert _refusal(tmp_path, text) == reason


def test_a_file_beyond_the_bound_is_refused(tmp_path: Path) -> None:
    assert _refusal(tmp_path, b" " * (MAX_FILE + 1)) == f"are larger than {MAX_FILE} bytes"


def test_a_link_or_a_pipe_or_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    file = lock_file(tmp_path)
    reasons: list[str] = []
    for put in (lambda: file.symlink_to("elsewhere"), lambda: os.mkfifo(file), file.mkdir):
        put()
        with pytest.raises(ConfigError) as refused:
            PinFile(file).read()
        reasons.append(str(refused.value).removeprefix(f"the pins {str(file)!r} "))
        file.rmdir() if file.is_dir() else file.unlink()
    assert reasons == [
        "cannot be read: it is a symlink; put the file itself there",
        "are not a file",
        "cannot be read: Is a directory",
    ]
