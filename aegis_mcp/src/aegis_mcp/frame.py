"""One frame: one JSON-RPC 2.0 message on one line, as MCP's stdio transport has it.

A `Frame` that parses means the same to every peer. What two parsers could read differently is refused: duplicate keys,
NaN, keys that differ from the protocol's only in case, a carriage return that a peer may take for the end of a line.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, NamedTuple, cast

import orjson

from aegis_mcp.errors import MalformedFrame

MAX_FRAME: Final = 16 * 1024 * 1024
"""Bytes of the longest frame, without its LF."""

MAX_NESTING: Final = 128
"""How deep a frame's objects and arrays may nest."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
DENIED: Final = -32010
"""What policy refused; in the range that the protocol leaves to implementations (MCP 2026-07-28, basic)."""
UNAVAILABLE: Final = -32011
"""What could not be done: the upstream is gone, or the log could not take the request."""

FrameId = str | int
_NO_PARAMS: Final[dict[str, Any]] = {}


class FrameKind(Enum):
    """The three shapes of a message."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    RESPONSE = "response"


class Frame(NamedTuple):
    """One message and the bytes that it came from, LF excluded.

    `id` is None only for a notification. It is also what identifies a request among those in flight: 7 and "7" are two.
    `method` and `params` are empty where there are none.
    """

    kind: FrameKind
    raw: bytes
    message: dict[str, Any]
    id: FrameId | None
    method: str = ""
    params: dict[str, Any] = _NO_PARAMS

    @property
    def request_id(self) -> FrameId:
        """Return the id of a request or response."""
        assert self.id is not None  # noqa: S101 - a notification is never asked
        return self.id


class Unanswered(bytes):
    """A line in the place of an answer that has not come: the gateway itself says why, and not the upstream."""

    __slots__ = ()


def as_id(value: object) -> FrameId | None:
    """Return what a peer names as the id of a request, None for what is none: to Python True would be 1."""
    return value if type(value) is str or type(value) is int else None


def parse(line: bytes) -> Frame:
    """Read one line without its LF.

    Raises:
        MalformedFrame: the line is not one message that means the same to every peer.
    """
    if len(line) > MAX_FRAME:
        raise MalformedFrame(f"the frame is longer than {MAX_FRAME} bytes", _asked_id(line))
    raw = line.removesuffix(b"\r")
    # Text-mode readers end a line at CR: the middle of this frame would be a frame of its own to them.
    if _CR in raw:
        raise MalformedFrame("a carriage return inside the frame")
    message = load(raw)
    try:
        return _shape(raw, message)
    except MalformedFrame as exc:
        raise MalformedFrame(exc.reason, _legible_id(message)) from exc


def load(raw: bytes) -> dict[str, Any]:
    """Read one JSON object that means the same to everybody.

    Raises:
        MalformedFrame: the bytes are none.
    """
    plain = _plain(raw)
    message: dict[str, Any] = _strict(raw) if plain is None else plain  # or anything else, until that is looked at
    if type(message) is not dict:
        is_batch = isinstance(message, list)
        raise MalformedFrame("a batch; send one message a line" if is_batch else "the frame is not a JSON object")
    # What nests deeper has more brackets, and each of them is closed.
    if len(raw) > 2 * MAX_NESTING and raw.count(b"{") + raw.count(b"[") > MAX_NESTING:
        _bound_nesting([message])
    if plain is None and (b"\\ud" in raw or b"\\uD" in raw):
        _refuse_lone_surrogates(message)
    return message


def _plain(raw: bytes) -> Any:
    """Return the value of JSON that is written as most writers write it; None where that has to be looked at closely.

    `orjson` takes more than one reading of what peers could read differently. But what it writes back to the same bytes
    has no key twice, no number that it has changed, no lone surrogate and no white space: there is one reading of that.
    """
    try:
        message = orjson.loads(raw)
        return message if orjson.dumps(message) == raw else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def _strict(raw: bytes) -> Any:
    try:
        return _decoder.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise MalformedFrame("the frame is not UTF-8") from exc
    except RecursionError as exc:
        raise MalformedFrame(f"nested deeper than {MAX_NESTING}") from exc
    except json.JSONDecodeError as exc:
        raise MalformedFrame("the frame is not JSON") from exc
    except ValueError as exc:  # an integer of more digits than the interpreter converts
        raise MalformedFrame("an integer of too many digits") from exc


def _shape(raw: bytes, message: dict[str, Any]) -> Frame:
    """Tell the kind of a message, and refuse one that is of two kinds or of none."""
    if not _MEMBERS.issuperset(message):
        _refuse_look_alikes(message, _MEMBERS)
    if message.get("jsonrpc") != "2.0":
        raise MalformedFrame('"jsonrpc" is not "2.0"')
    if "method" in message:
        return _call(raw, message)
    if ("result" in message) == ("error" in message):
        raise MalformedFrame("neither a method nor one of result and error")
    if "params" in message:
        raise MalformedFrame("a response with params")
    return Frame(FrameKind.RESPONSE, raw, message, _id(message))


def _call(raw: bytes, message: dict[str, Any]) -> Frame:
    method = message["method"]
    if type(method) is not str:
        raise MalformedFrame("the method is not a string")
    if "result" in message or "error" in message:
        raise MalformedFrame("a method beside a result or an error")
    params: dict[str, Any] = message.get("params", _NO_PARAMS)  # or anything else
    if type(params) is not dict:
        raise MalformedFrame("the params are not an object")
    if not _PARAMS.issuperset(params):
        _refuse_look_alikes(params, _PARAMS)
    _refuse_unnamed(method, params)
    is_notification = method.startswith("notifications/")
    if "id" not in message:
        if not is_notification:
            raise MalformedFrame("a request without an id")
        return Frame(FrameKind.NOTIFICATION, raw, message, None, method, params)
    if is_notification:
        raise MalformedFrame("a notification with an id")
    return Frame(FrameKind.REQUEST, raw, message, _id(message), method, params)


def _refuse_unnamed(method: str, params: dict[str, Any]) -> None:
    # What is judged by its name must have one, or a lenient upstream would find a name where policy saw none.
    name = _NAMED_BY.get(method)
    if name and type(params.get(name)) is not str and (name in params or method not in _REMOVED):
        raise MalformedFrame(f"{method} without a {name}")
    if method == "tools/call" and type(arguments := params.get("arguments")) is not dict and arguments is not None:
        raise MalformedFrame("the arguments are not an object")
    if method == "completion/complete" and type(reference := params.get("ref")) is dict:
        _refuse_two_subjects(cast("dict[str, Any]", reference))


def _refuse_two_subjects(reference: dict[str, Any]) -> None:
    # One server goes by the type, another by which of the two is there: policy must see what either would take.
    _refuse_look_alikes(reference, _REFERENCE)
    if "name" in reference and "uri" in reference:
        raise MalformedFrame("a completion for a prompt and a resource at once")


def _legible_id(message: dict[str, Any]) -> FrameId | None:
    """Return the id of what can only be a request, None where nobody can tell which answer is waited for."""
    value = message.get("id")
    is_request = "method" in message and "result" not in message and "error" not in message
    return value if is_request and type(value) in {str, int} else None


def _id(message: dict[str, Any]) -> FrameId:
    value = message.get("id")
    if type(value) is str or type(value) is int:
        return value
    raise MalformedFrame("the id is neither a string nor an integer")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedFrame("an object with the same key twice")
    return members


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise MalformedFrame("a number beyond the range of a double")
    return value


def _refuse_constant(name: str) -> None:
    raise MalformedFrame(f"{name} is not JSON")


def _bound_nesting(level: list[Any]) -> None:
    """Walk a value breadth first: no recursion for a peer to exhaust."""
    for _ in range(MAX_NESTING + 1):
        inner: list[Any] = []
        for value in level:
            if type(value) is dict:
                inner.extend(cast("dict[str, Any]", value).values())
            elif type(value) is list:
                inner.extend(cast("list[Any]", value))
        if not inner:
            return
        level = inner
    raise MalformedFrame(f"nested deeper than {MAX_NESTING}")


def _refuse_lone_surrogates(message: object) -> None:
    try:
        json.dumps(message, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as exc:
        raise MalformedFrame("a lone surrogate") from exc


def _refuse_look_alikes(members: Iterable[str], known: frozenset[str]) -> None:
    # Some JSON libraries match names without regard to case: "Method" would be the method to them.
    for name in members:
        if name not in known and name.casefold() in _folded(known):
            raise MalformedFrame("a member that differs from the protocol's only in case")


@cache
def _folded(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)


_CR: Final = 0x0D
END_SIZE: Final = 512
"""Bytes from the end of a frame in which its last member is looked for."""

_ID: Final = rb'"id"\s{0,4}:\s{0,4}(-?(?:0|[1-9]\d{0,17})|"[ !#-\[\]-~]{0,256}")\s{0,4}'
_VERSION: Final = rb'"jsonrpc"\s{0,4}:\s{0,4}"2\.0"\s{0,4}'
_HEAD: Final = rb"\s{0,4}\{\s{0,4}(?:%b,\s{0,4})?(?:%b,\s{0,4})?(?:%b,\s{0,4})?" % (_VERSION, _ID, _VERSION)
# Most gateways never get a line that has to be looked at so: these are compiled when one does.
_ANSWER: Final = _HEAD + rb'"(?:result|error)"\s{0,4}:'
_QUESTION: Final = _HEAD + rb'"method"\s{0,4}:\s{0,4}"[ !#-\[\]-~]{1,256}"'
_LAST_ID: Final = rb"%b(?:,\s{0,4}%b)?\}\s{0,4}\Z" % (_ID, _VERSION)
_decoder: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)
_NAMED_BY: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
}
# Of revision 2026-07-28: who is asked for one of these says so, with whatever params (MCP, changelog).
_REMOVED: Final = frozenset({"resources/subscribe", "resources/unsubscribe"})
_MEMBERS: Final = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS: Final = frozenset(
    {
        *("name", "uri", "arguments", "cursor", "_meta", "ref", "argument"),
        *("taskId", "requestId", "requestState", "inputResponses", "notifications"),
    }
)
_REFERENCE: Final = frozenset({"type", "name", "uri"})


def answered_id(line: bytes) -> FrameId | None:
    """Return the id under which a line that is no frame was meant to answer, None where it was not or cannot be told.

    It decides on nothing but who is told that no answer comes. Writers put the id before the result or at the end.
    """
    return _id_of(line, _ANSWER)


def _asked_id(line: bytes) -> FrameId | None:
    """Return the id under which a line that is too long was meant to ask, None where it was not or cannot be told."""
    return _id_of(line, _QUESTION)


def _id_of(line: bytes, beginning: bytes) -> FrameId | None:
    head = re.match(beginning, line)
    if head is None:
        return None
    found = head[1] or ((tail := re.search(_LAST_ID, line[-END_SIZE:])) and tail[1])
    return json.loads(found) if found else None


def error(request_id: FrameId | None, code: int, message: str) -> bytes:
    """Return an error response, LF excluded; `request_id` is None where the request could not be read."""
    return dump({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})


def rejection(malformed: MalformedFrame) -> bytes:
    """Return the answer to a line that is no frame, under the id that was asked with where that is certain.

    JSON-RPC 2.0 §5: the id is null where it could not be told.
    """
    code = PARSE_ERROR if malformed.request_id is None else INVALID_REQUEST
    return error(malformed.request_id, code, malformed.reason)


def tool_error(request_id: FrameId | None, text: str, *, is_modern: bool) -> bytes:
    """Return the result of a tool call that failed, so that a model sees why (MCP, server/tools, error handling).

    From revision 2026-07-28 on every result says of what type it is.
    """
    kind = {"resultType": "complete"} if is_modern else {}
    return result(request_id, {"content": [{"type": "text", "text": text}], "isError": True, **kind})


def request(request_id: FrameId, method: str, params: Mapping[str, Any]) -> bytes:
    """Return a request of the gateway's own, LF excluded."""
    return dump({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def notification(method: str, params: Mapping[str, Any]) -> bytes:
    """Return a notification of the gateway's own, LF excluded; without params if there are none."""
    return dump({"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})})


def result(request_id: FrameId | None, members: Mapping[str, Any]) -> bytes:
    """Return an answer of the gateway's own, LF excluded."""
    return dump({"jsonrpc": "2.0", "id": request_id, "result": members})


def dump(message: Mapping[str, Any]) -> bytes:
    """Return the line of a message that is not passed on as it came, LF excluded."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
