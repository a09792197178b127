"""Text that was made to deceive a reader or to command a terminal never reaches either as it is."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path
from typing import Final

import pytest

from aegis_audit import canonical
from support.auditor import audit, audit_on_terminal
from support.logs import LogBuilder, reseal, trace_of, write

HOSTILE: Final = (
    "\x1b[2J\x1b[H",  # clear the screen
    "\x1b]0;owned\x07",  # set the title
    "\x1b]52;c;cm0gLXJm\x07",  # fill the clipboard
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",  # link
    "\x1b[6n\x1b[c",  # make the terminal type
    "\x9b31m\x9d0;owned\x9c",  # the same in 8 bits
    "deny\x08\x08\x08\x08allow\x07",
    "deny\rallow",
    "ok\n 99999  2026-11-24T00:00:00.000000Z  forged",
    "ok\x85forged\u2028forged\u2029forged\x0bforged\x0cforged",
    "exe.\u202egpj",  # right to left
    "\u2066a\u2069\u2067b\u2069\u200f\u061c",
    "re\u200bad\ufeff\u00ad\u3164\u2800\U000e0041",  # unseen
    "a\x7fb\x00c",
    "[bold red]x[/bold red][link=http://evil.example]y[/link]",
    "[/]:warning:",
    "%s{0}{x}%n",
    "A" * 3000,
    "漢" * 400,
    "e" + "\u0301" * 200,
    "",
    "--help",
    "\\x1b[31m",
    "\ue000\U0010ffff\ufdd0",
)
COMMANDS: Final = ("inspect", "summarize", "verify")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log in which each text stands wherever a peer can put one, and lines that are the texts alone."""
    builder = LogBuilder()
    junk: list[bytes] = []
    for number, text in enumerate(HOSTILE):
        builder.security(text, origin=text, reason=text)
        names = {"method": text, "rule": text, "server": text, "tool": text, "uri": text}
        builder.add("tool_invocation", {**names, "decision": text, "phase": "intent"}, trace_of(number))
        outcome = {**names, "duration_us": 5, "phase": "outcome", "status": text}
        builder.add("tool_invocation", outcome, trace_of(number))
        builder.add("access_denied", {**names, "decision": "deny", "reason": text}, trace_of(number))
        prompt = {"phase": "intent", "prompt": {text: [text]}, "server": text}
        builder.add("prompt_access", prompt, trace_of(1000 + number))
        builder.lines.append(of_type(text, json.loads(builder.lines[-1])))
        junk.append(b'{"v":"' + text.replace("\n", " ").encode() + b'"\n')
    return write(tmp_path_factory.mktemp("hostile") / "audit.log", [*builder.lines, *junk])


def of_type(event_type: str, fields: dict[str, object]) -> bytes:
    """Return an entry with its own hash and such a type."""
    entry = fields | {"event_type": event_type, "session_id": "ab" * 16}
    return reseal(canonical.encode(entry) + b"\n")


def assert_harmless(text: str) -> None:
    """Assert that nothing but printable characters, spaces and line ends is there."""
    kinds = {character: unicodedata.category(character) for character in text if character not in "\n "}
    assert {hex(ord(character)) for character, kind in kinds.items() if kind[0] in "CZ"} == set()
    assert kinds.keys().isdisjoint("\u3164\u2800")


@pytest.mark.parametrize("command", COMMANDS)
def test_text_in_a_pipe_is_harmless(command: str, log: Path) -> None:
    shown = audit(command, log)
    assert shown.status in {1, 3}
    assert_harmless(shown.stdout + shown.stderr)
    assert [line for line in shown.stdout.splitlines() if line.startswith(" 99999")] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_text_on_a_terminal_is_harmless(command: str, log: Path) -> None:
    shown = audit_on_terminal(command, log, env={"NO_COLOR": "1"})
    assert shown.status in {1, 3}
    assert_harmless(shown.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_printable_ascii(command: str, log: Path) -> None:
    shown = audit(command, log, "--format", "json")
    assert shown.status == shown.json["exit_code"]
    assert_harmless(shown.stdout)
    assert shown.stdout.isascii()


def test_json_lines_are_the_entries_whatever_they_hold(log: Path) -> None:
    shown = audit("inspect", log, "--format", "jsonl")
    assert_harmless(shown.stdout)
    assert shown.stdout.isascii()
    lines = log.read_bytes().split(b"\n")[: 6 * len(HOSTILE)]
    assert [json.loads(line) for line in shown.stdout.split("\n")[:-1]] == [json.loads(line) for line in lines]


def test_one_entry_is_one_line(log: Path) -> None:
    shown = audit("inspect", log)
    assert len(shown.stdout.split("\n")) == 1 + 6 * len(HOSTILE) + 1


def test_markup_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.call(0, tool="[red]x[/]:warning:")
    log = write(tmp_path / "audit.log", builder.lines)
    for shown in (audit_on_terminal("inspect", log, columns=160), audit_on_terminal("summarize", log)):
        assert "[red]x[/]:warning:" in shown.stdout


def test_an_entry_as_long_as_a_line_can_be_is_shown(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.add("tool_invocation", {"phase": "intent", "tool": "\x1b" * 10_000}, trace_of(0))
    shown = audit("inspect", write(tmp_path / "audit.log", builder.lines))
    assert r"\x1b" * 10_000 in shown.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no such file name there")
def test_a_hostile_path_is_escaped(tmp_path: Path) -> None:
    name = "audit\x1b[31m\u202e[red]\udc80.log"
    (tmp_path / name).write_bytes(b"junk\n")
    for command in COMMANDS:
        shown = audit(command, tmp_path)
        assert shown.status == 3
        assert r"audit\x1b[31m\u202e[red]\udc80.log" in shown.stdout + shown.stderr
        assert_harmless(shown.stdout + shown.stderr)
