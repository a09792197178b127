"""What is made of hostile text before it is shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit.escape import defuse, escape, escape_json

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("read_text_file", "read_text_file"),
        ("größe ☃ 漢字 🔑", "größe ☃ 漢字 🔑"),
        ("[bold red]not markup[/]", "[bold red]not markup[/]"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m\x90\x85", r"\x9b31m\x90\x85"),
        ("a\r\nb\tc\x00\x7f", r"a\r\nb\tc\x00\x7f"),
        ("exe.\u202egpj\u2066\u200f", r"exe.\u202egpj\u2066\u200f"),
        ("a\u200bb\ufeff\u00ad\u2028", r"a\u200bb\ufeff\xad\u2028"),
        ("\u3164\u2800\ufe0f\u034f\U000e0100\U000e0041", r"\u3164\u2800\ufe0f\u034f\U000e0100\U000e0041"),
        ("e\u0301\u0302\u0303\u0304 Vie\u0323\u0302t", "e\u0301\u0302\\u0303\\u0304 Vie\u0323\u0302t"),
        ("\udc80\ud83d", r"\udc80\ud83d"),
        ("\ue000\U0010ffff", r"\ue000\U0010ffff"),
        ("a\u00a0b\u3000", r"a\xa0b\u3000"),
        (r"C:\temp\x1b", r"C:\\temp\\x1b"),
    ],
)
def test_what_does_not_show_as_itself_is_written_out(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_message_keeps_its_own_backslashes() -> None:
    assert defuse("found b'\\x00'\x1b") == r"found b'\x00'\x1b"


@given(ANY_TEXT)
def test_escaped_text_is_printable_and_tells_the_original(text: str) -> None:
    escaped = escape(text)
    assert escaped.isprintable()
    units = escaped.encode("latin-1", "backslashreplace")
    assert units.decode("unicode_escape") == text


@given(ANY_TEXT)
def test_escaped_json_is_ascii_and_means_the_same(text: str) -> None:
    written = json.dumps({text: [text, 1e21, -5]}, ensure_ascii=False)
    escaped = escape_json(written)
    assert all(" " <= character <= "~" for character in escaped)
    assert json.loads(escaped) == json.loads(written)
