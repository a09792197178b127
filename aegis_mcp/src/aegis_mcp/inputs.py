"""What an upstream asks of the host inside an answer: `inputRequests`, and the addresses of error -32042.

They are requests to the host like those of the handshake era (sampling, elicitation, roots), and are judged like them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, cast

from aegis_audit.value import Value
from aegis_mcp.lane import Flight

MAX_INPUTS: Final = 100
"""How many requests one answer may hold."""

MAX_OPEN: Final = 256
"""How many requests may wait for the host's responses at the same time."""

_URL_ELICITATION_REQUIRED: Final = -32042


class InputRequest(Value):
    """One request inside an answer: the key under which the host responds, "" where it does not."""

    key: str
    method: str
    params: Mapping[str, Any]


def requested(result: object, failure: object) -> list[InputRequest]:
    """Return what a result or an error of a response asks of the host; `result` may be a notification's params."""
    found: list[InputRequest] = []
    if isinstance(result, dict) and "inputRequests" in result:
        wanted = _object(cast("dict[str, Any]", result)["inputRequests"])
        found = [InputRequest(key, _method(one), _object(_object(one).get("params"))) for key, one in wanted.items()]
    if failure is not None and _object(failure).get("code") == _URL_ELICITATION_REQUIRED:
        listed: object = _object(_object(failure).get("data")).get("elicitations")
        items = cast("list[Any]", listed) if isinstance(listed, list) else []
        found += [InputRequest("", "elicitation/create", _object(item)) for item in items]
    return found


class OpenInputs:
    """What was passed on to the host inside answers, until a request brings the responses."""

    def __init__(self) -> None:
        self._open: dict[bytes, Flight] = {}

    def hold(self, state: object, key: str, flight: Flight) -> Flight | None:
        """Keep a request; return the oldest where there are too many."""
        self._open[_place(state, key)] = flight
        return self._open.pop(next(iter(self._open))) if len(self._open) > MAX_OPEN else None

    def answered(self, params: Mapping[str, Any]) -> list[Flight]:
        """Take out what the params of a request respond to."""
        state = params.get("requestState")
        flights = (self._open.pop(_place(state, key), None) for key in _object(params.get("inputResponses")))
        return [flight for flight in flights if flight]

    def end(self) -> list[Flight]:
        """Take everything out: no response will come."""
        flights = list(self._open.values())
        self._open.clear()
        return flights


def _place(state: object, key: str) -> bytes:
    """Return under what a request is kept: a state may be as long as a frame."""
    return sha256(json.dumps([_text(state), key]).encode("ascii")).digest()


def _method(one: object) -> str:
    return _text(_object(one).get("method")) or ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
