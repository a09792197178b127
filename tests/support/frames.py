"""Lines that are not one message with one meaning, each under what is wrong with it, and some that only look so."""

from __future__ import annotations

from typing import Final

from aegis_mcp import frame

_PING: Final = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
_CALL: Final = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}'

UNREADABLE: Final = {
    "not JSON": b"hello",
    "half a frame": _CALL[:40],
    "a batch": b"[" + _CALL + b"]",
    "a batch of two": b"[" + _PING + b"," + _CALL + b"]",
    "an empty batch": b"[]",
    "a batch in a batch": b"[[" + _CALL + b"]]",
    "a string": b'"tools/call"',
    "a frame in a string": b'"' + _CALL.replace(b'"', b'\\"') + b'"',
    "null": b"null",
    "a number": b"1",
    "an empty object": b"{}",
    "two frames": _PING + _CALL,
    "two frames and a comma": _PING + b"," + _CALL,
    "a byte order mark": b"\xef\xbb\xbf" + _CALL,
    "UTF-16": _CALL.decode().encode("utf-16"),
    "invalid UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
    "a cut UTF-8 sequence": b'{"jsonrpc":"2.0","id":1,"method":"\xe2\x82"}',
    "an overlong encoding": b'{"jsonrpc":"2.0","id":1,"method":"\xc0\xaf"}',
    "an encoded surrogate": b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}',
    "an escaped lone surrogate": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"\\uD83D"}}',
    "surrogates the wrong way round": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"\\uDE00\\uD83D"}}',
    "a lone surrogate in a key": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"\\udc00":1}}',
    "a lone surrogate in the id": b'{"jsonrpc":"2.0","id":"\\udc00","method":"ping"}',
    "a NUL in a string": b'{"jsonrpc":"2.0","id":1,"method":"a\x00b"}',
    "a NUL before the frame": b"\x00" + _CALL,
    "a NUL after the frame": _CALL + b"\x00",
    "a tab in a string": b'{"jsonrpc":"2.0","id":1,"method":"tools/call\t"}',
    "a form feed between tokens": b'{"jsonrpc":"2.0",\x0c"id":1,"method":"ping"}',
    "a line separator between tokens": b'{"jsonrpc":"2.0",\xe2\x80\xa8"id":1,"method":"ping"}',
    "a no-break space between tokens": b'{"jsonrpc":"2.0",\xc2\xa0"id":1,"method":"ping"}',
    "a carriage return between tokens": b'{"jsonrpc":"2.0","id":1,\r"method":"ping"}',
    "a frame between carriage returns": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":\r' + _CALL + b"\r}}",
    "a frame after a carriage return": _PING + b"\r" + _CALL,
    "two ids": b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
    "two versions": b'{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}',
    "two methods": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}',
    "two methods, one escaped": b'{"jsonrpc":"2.0","id":1,"method":"ping","\\u006dethod":"tools/call"}',
    "two params": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{"name":"x"}}',
    "two names": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}',
    "a twice named argument": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":'
    b'{"p":1,"p":2}}}',
    "a key twice deep inside": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":[[{"k":{"a":1,"a":1}}]]}}',
    "a key twice in a result": b'{"jsonrpc":"2.0","id":1,"result":{"isError":true,"isError":false}}',
    "two results": b'{"jsonrpc":"2.0","id":1,"result":{},"result":{"tools":[]}}',
    "only a method in capitals": b'{"jsonrpc":"2.0","id":1,"Method":"tools/call"}',
    "a method and a result": b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
    "a method and an error": b'{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}',
    "a result and an error": b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}',
    "a result and params": b'{"jsonrpc":"2.0","id":1,"result":{},"params":{}}',
    "neither": b'{"jsonrpc":"2.0","id":1}',
    "id null": b'{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"x"}}',
    "id true": b'{"jsonrpc":"2.0","id":true,"method":"tools/call","params":{"name":"x"}}',
    "id false": b'{"jsonrpc":"2.0","id":false,"method":"tools/call","params":{"name":"x"}}',
    "id a float": b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}',
    "id an integer with an exponent": b'{"jsonrpc":"2.0","id":1e0,"method":"ping"}',
    "id a list": b'{"jsonrpc":"2.0","id":[1],"method":"ping"}',
    "id an object": b'{"jsonrpc":"2.0","id":{"id":1},"method":"ping"}',
    "a request without id": b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}',
    "a response without id": b'{"jsonrpc":"2.0","result":{}}',
    "a response with id null": b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}',
    "NaN": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":NaN}}',
    "Infinity": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":Infinity}}',
    "minus Infinity": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":-Infinity}}',
    "a float beyond doubles": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1e400}}',
    "a float below doubles": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":-1e400}}',
    "an id of 5,000 digits": b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}',
    "an argument of 5,000 digits": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"9" * 5000 + b"}}",
    "a number with a leading zero": b'{"jsonrpc":"2.0","id":01,"method":"ping"}',
    "an answer to a number with a leading zero": b'{"jsonrpc":"2.0","id":-04,"result":{}}',
    "a hexadecimal number": b'{"jsonrpc":"2.0","id":0x1,"method":"ping"}',
    "nesting of 129": b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b'{"a":' * 128 + b"1" + b"}" * 129,
    "nesting of 100,000 arrays": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"[" * 100_000,
    "nesting of 100,000 objects": b'{"a":' * 100_000,
    "100,000 closed arrays": b"[" * 100_000 + b"]" * 100_000,
    "a comment": _PING + b" // x",
    "a trailing comma": b'{"jsonrpc":"2.0","id":1,"method":"ping",}',
    "single quotes": _CALL.replace(b'"', b"'"),
    "keys without quotes": b'{jsonrpc:"2.0",id:1,method:"tools/call"}',
    "a header of another protocol": b"Content-Length: 70",
    "more than 16 MiB of nothing in particular": b"x" * (frame.MAX_FRAME + 1),
    "more than 16 MiB, and an id where nobody looks": b'{"jsonrpc":"2.0","params":{"a":"'
    + b"x" * frame.MAX_FRAME
    + b'"},"id":1,"method":"x"}',
}
"""Nobody can tell whether, and under which id, an answer to one of these is waited for."""

INVALID: Final = {
    "no version": b'{"id":1,"method":"ping"}',
    "another version": b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
    "a version that is a number": b'{"jsonrpc":2.0,"id":1,"method":"ping"}',
    "a method in capitals beside one": b'{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}',
    "a method with a long s": '{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{"name":"x"}}'.encode(),
    "a name in capitals": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}',
    "a task in capitals": b'{"jsonrpc":"2.0","id":1,"method":"tasks/update","params":{"taskId":"a","TaskID":"b"}}',
    "a completion for two": b'{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":'
    b'{"type":"ref/prompt","name":"x","uri":"x"}}}',
    "a completion with a name in capitals": b'{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":'
    b'{"type":"ref/resource","uri":"x","Name":"x"}}}',
    "a method that is no string": b'{"jsonrpc":"2.0","id":1,"method":7}',
    "a method that is null": b'{"jsonrpc":"2.0","id":1,"method":null}',
    "params in a list": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
    "params null": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":null}',
    "params a string": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"x"}',
    "a notification with id": b'{"jsonrpc":"2.0","id":1,"method":"notifications/tools/call"}',
    "a call without a name": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}',
    "a call whose name is no string": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["x"]}}',
    "a call without params": b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
    "arguments in a list": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":["a"]}}',
    "a read without uri": b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"name":"x"}}',
    "a subscription to a list": b'{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":["x"]}}',
    "more than 16 MiB": b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"' + b"x" * frame.MAX_FRAME + b'"}}',
    "more than 16 MiB, and the id at the end": b'{"method":"x","params":{"a":"'
    + b"x" * frame.MAX_FRAME
    + b'"},"jsonrpc":"2.0","id":1}',
    "a prompt without name": b'{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"uri":"x"}}',
}
"""Each of these is certainly a request, with the id 1, and its sender waits for an answer under that id."""

REFUSED: Final = {"nothing": b"", **UNREADABLE, **INVALID}


def _echo(arguments: bytes, rest: bytes = b"", *, tool: bytes = b"echo") -> bytes:
    call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s","arguments":%s}%s}'
    return call % (tool, arguments, rest)


def _of_size(size: int) -> bytes:
    """Return a call of so many bytes, whose answer is shorter."""
    around = len(_echo(b'{"a":""}', tool=b"read_log"))
    return _echo(b'{"a":"' + b"x" * (size - around) + b'"}', tool=b"read_log")


PASSED: Final = {
    "spaces and tabs": b' { "id" : 1 ,\t"method":"tools/call", "params":{"name":"echo"},"jsonrpc":"2.0"}\t',
    "members that no revision has": _echo(b"{}", b',"x":[{"METHOD":1}],"_aegis":null'),
    "keys that look like the protocol's, where they are not": _echo(b'{"method":"tools/call","id":null,"Id":2,"ID":3}'),
    "floats, exponents and a negative zero": _echo(b'{"a":[1.0,1e2,-0.0,0.1e-7,1E5,-0]}'),
    "an integer of 4,000 digits": _echo(b'{"a":' + b"7" * 4000 + b"}"),
    "integers around 2^53 and 2^64": _echo(b'{"a":[9007199254740993,18446744073709551616,-9223372036854775809]}'),
    "escapes that need none": _echo(b'{"\\u0061":"\\u00e9\\/\\ud83d\\ude00"}'),
    "an escaped NUL": _echo(b'{"a":"\\u0000"}'),
    "line and paragraph separators": _echo('{"a":"\u2028\u2029\u0085"}'.encode()),
    "a byte order mark inside": _echo('{"a":"\ufeff"}'.encode()),
    "noncharacters and private use": _echo('{"a":"\uffff\ue000\U0010ffff"}'.encode()),
    "text that looks like a batch": _echo(b'{"a":"[{\\"method\\":\\"tools/call\\"}]"}'),
    "empty keys": _echo(b'{"":{"":[]}}'),
    "nesting of 128": _echo(b'{"a":' * 125 + b"1" + b"}" * 125),
    "16 MiB": _of_size(frame.MAX_FRAME),
}
"""Calls of tools that read, under the id 1: each is one message with one meaning and passes as it is."""


def broken_answers(name: str) -> list[bytes]:
    """Return lines that are no frames, but answers: to the requests `name-1`, `name-2` and so on."""
    much = b"x" * frame.MAX_FRAME
    lines = [
        b'{"jsonrpc": "2.0", "id": "%s", "result": {"content": [], "x": NaN}}',
        b'{"id":"%s","jsonrpc":"2.0","result":{"content":[],"content":[]}}',
        b'{"result":{"content":[],"x":-Infinity},"jsonrpc":"2.0","id":"%s"}',
        b'{"result":{"content":["\xff"]},"id":"%s","jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","id":"%s","result":{"content":[],"x":"' + much + b'"}}',
        b'{"result":{"content":[],"x":"' + much + b'"},"jsonrpc":"2.0","id":"%s"}',
        b'{"jsonrpc":"2.0","id":"%s","result":{},"error":{"code":1,"message":"x"}}',
    ]
    return [line.replace(b"%s", b"%s-%d" % (name.encode(), number)) for number, line in enumerate(lines, 1)]
