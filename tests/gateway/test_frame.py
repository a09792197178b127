"""The strict frame: what parses means one thing to every peer, and nothing else parses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp import frame
from aegis_mcp.errors import MalformedFrame
from aegis_mcp.frame import FrameKind
from support.frames import INVALID, PASSED, REFUSED

ACCEPTED = {
    b'{"jsonrpc":"2.0","id":1,"method":"ping"}': FrameKind.REQUEST,
    b'  {"id":"a","method":"ping","jsonrpc":"2.0","future":[1]} \r': FrameKind.REQUEST,
    b'{"jsonrpc":"2.0","method":"notifications/progress","params":{}}': FrameKind.NOTIFICATION,
    b'{"jsonrpc":"2.0","id":1,"result":null}': FrameKind.RESPONSE,
    b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}': FrameKind.RESPONSE,
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"","arguments":null}}': FrameKind.REQUEST,
    b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"\\ud83d\\ude00 \xe2\x80\xa8"}}': FrameKind.REQUEST,
    b'{"jsonrpc":"2.0","id":-7,"method":"x","params":' + b'{"a":' * 126 + b"1" + b"}" * 127: FrameKind.REQUEST,
}


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_peers_could_read_in_two_ways_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedFrame) as caught:
        frame.parse(line)
    assert caught.value.request_id == (1 if line in INVALID.values() else None)


@pytest.mark.parametrize("line", PASSED.values(), ids=PASSED.keys())
def test_a_line_that_only_looks_like_it_is_accepted(line: bytes) -> None:
    assert frame.parse(line).raw == line


@pytest.mark.parametrize(("line", "kind"), ACCEPTED.items(), ids=range(len(ACCEPTED)))
def test_one_message_is_accepted_with_the_bytes_it_came_in(line: bytes, kind: FrameKind) -> None:
    parsed = frame.parse(line)
    assert parsed.kind is kind
    assert parsed.raw == line.removesuffix(b"\r")


def test_a_number_and_a_string_are_two_ids() -> None:
    number, text = (frame.parse(b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % i) for i in (b"7", b'"7"'))
    assert number.id != text.id


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        *(("7", 7), ("-7", -7), ("0", 0), ('"a"', "a"), ('""', "")),
        *(
            (written, None)
            for written in ("04", "-04", "00", "-", "+1", "1.0", "1e2", "0x1", "9" * 19, "true", '"\\u0061"')
        ),
    ],
)
@pytest.mark.parametrize("line", ['{"jsonrpc":"2.0","id":%s,"result":NaN}', '{"result":NaN,"jsonrpc":"2.0","id":%s}'])
def test_what_is_no_frame_answers_a_request_only_under_an_id_that_can_be_told(
    line: str, written: str, expected: object
) -> None:
    assert frame.answered_id((line % written).encode()) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_bytes_that_are_no_frame_are_refused_and_make_nothing_else_of_the_parser(line: bytes) -> None:
    with pytest.raises(MalformedFrame):
        frame.parse(line)


@given(JSON)
def test_every_argument_that_json_can_hold_passes(value: object) -> None:
    try:
        line = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": {"v": value}}},
            ensure_ascii=False,
        ).encode()
    except UnicodeEncodeError:
        return
    assert frame.parse(line).params["arguments"] == {"v": value}


SCALARS = st.sampled_from(
    (
        *("null", "true", "NaN", "-Infinity", '"NaN"', "0", "-0", "-0.0", "1.0", "1e5", "1E5", "1e16", "0.1", "1e400"),
        *("9007199254740993", "18446744073709551615", "18446744073709551616", "-9223372036854775809", "01", "+1", "1."),
        *(
            '""',
            '"\\u0041"',
            '"\\ud83d\\ude00"',
            '"\\ud83d"',
            '"\\\\ud83d"',
            '"\\/"',
            '"\\u001f"',
            '"\\u001F"',
            '"\x7f"',
            '"\u2028"',
        ),
    )
)
KEYS = st.sampled_from(('"a"', '"b"', '"\\u0061"', '"id"', '"\u00e9"', '"e\u0301"', '""'))
WRITTEN = st.recursive(
    SCALARS | st.floats().map(json.dumps) | st.integers().map(str) | st.text().map(json.dumps),
    lambda inner: (
        st.lists(inner).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(KEYS, inner)).map(lambda pairs: "{" + ",".join(map(":".join, pairs)) + "}")
    ),
)


@given(st.lists(st.tuples(KEYS, WRITTEN)))
def test_a_frame_without_white_space_is_read_as_the_same_frame_with_some(pairs: list[tuple[str, str]]) -> None:
    line = ("{" + ",".join(map(":".join, pairs)) + "}").encode()
    assert reading(line) == reading(line + b" ")


def reading(line: bytes) -> str:
    """Return what is read in a form that tells 1 from 1.0 and from True, or that the line is refused."""
    try:
        return repr(frame.load(line))
    except MalformedFrame as exc:
        return exc.reason
