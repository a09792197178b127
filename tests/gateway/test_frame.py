"""The strict frame: what parses means one thing to every peer, and nothing else parses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp import frame
from aegis_mcp.errors import MalformedFrame
from aegis_mcp.frame import FrameKind

REFUSED = {
    "nothing": b"",
    "not JSON": b"hello",
    "a batch": b'[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}]',
    "an empty batch": b"[]",
    "a string": b'"tools/call"',
    "two frames": b'{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}',
    "a byte order mark": b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
    "invalid UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
    "an overlong encoding": b'{"jsonrpc":"2.0","id":1,"method":"\xc0\xaf"}',
    "an encoded surrogate": b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}',
    "an escaped lone surrogate": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"\\uD83D"}}',
    "a lone surrogate in a key": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"\\udc00":1}}',
    "a control character": b'{"jsonrpc":"2.0","id":1,"method":"a\x00b"}',
    "a carriage return between tokens": b'{"jsonrpc":"2.0","id":1,\r"method":"ping"}',
    "a frame between carriage returns": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":\r'
    b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}\r}}',
    "no version": b'{"id":1,"method":"ping"}',
    "another version": b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
    "two methods": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}',
    "two methods, one escaped": b'{"jsonrpc":"2.0","id":1,"method":"ping","\\u006dethod":"tools/call"}',
    "two names": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}',
    "a twice named argument": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":'
    b'{"p":1,"p":2}}}',
    "a method in capitals beside one": b'{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}',
    "only a method in capitals": b'{"jsonrpc":"2.0","id":1,"Method":"tools/call"}',
    "a name in capitals": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}',
    "a method that is no string": b'{"jsonrpc":"2.0","id":1,"method":7}',
    "a method and a result": b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
    "a method and an error": b'{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}',
    "a result and an error": b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}',
    "a result and params": b'{"jsonrpc":"2.0","id":1,"result":{},"params":{}}',
    "neither": b'{"jsonrpc":"2.0","id":1}',
    "params in a list": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
    "params null": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":null}',
    "id null": b'{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"x"}}',
    "id true": b'{"jsonrpc":"2.0","id":true,"method":"ping"}',
    "id a float": b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}',
    "id a list": b'{"jsonrpc":"2.0","id":[1],"method":"ping"}',
    "a request without id": b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}',
    "a response without id": b'{"jsonrpc":"2.0","result":{}}',
    "a notification with id": b'{"jsonrpc":"2.0","id":1,"method":"notifications/tools/call"}',
    "NaN": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":NaN}}',
    "Infinity": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":-Infinity}}',
    "a float beyond doubles": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1e400}}',
    "an integer of 5,000 digits": b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}',
    "nesting of 129": b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b'{"a":' * 128 + b"1" + b"}" * 129,
    "nesting of 100,000": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"[" * 100_000,
    "a call without a name": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}',
    "a call whose name is no string": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["x"]}}',
    "a call without params": b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
    "arguments in a list": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":["a"]}}',
    "a read without uri": b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"name":"x"}}',
    "a prompt without name": b'{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"uri":"x"}}',
    "a comment": b'{"jsonrpc":"2.0","id":1,"method":"ping"} // x',
    "a trailing comma": b'{"jsonrpc":"2.0","id":1,"method":"ping",}',
    "more than 16 MiB": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"' + b"x" * frame.MAX_FRAME + b'"}}',
}

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
    with pytest.raises(MalformedFrame):
        frame.parse(line)


@pytest.mark.parametrize(("line", "kind"), ACCEPTED.items(), ids=range(len(ACCEPTED)))
def test_one_message_is_accepted_with_the_bytes_it_came_in(line: bytes, kind: FrameKind) -> None:
    parsed = frame.parse(line)
    assert parsed.kind is kind
    assert parsed.raw == line.removesuffix(b"\r")


def test_a_number_and_a_string_are_two_ids() -> None:
    number, text = (frame.parse(b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % i) for i in (b"7", b'"7"'))
    assert number.key != text.key


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
