"""An entry as one line of a table: the text of each column, as it stands in the log and not yet escaped."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, cast

from aegis_audit.entry import Entry

NOTHING = "-"
ANSWER_UNKNOWN = "sent, answer unknown"


class Row(NamedTuple):
    """The columns; `NOTHING` stands where the entry says nothing, `ms` is a duration in milliseconds."""

    seq: str
    time: str
    type: str
    server: str
    name: str
    result: str
    rule: str
    access: str
    ms: str
    trace: str


def row_of(entry: Entry, *, is_unanswered: bool) -> Row:
    """Return the columns of `entry`, of which it may be known that it is an intent without an answer."""
    event = entry.event
    return Row(
        seq=str(entry.seq),
        time=entry.timestamp,
        type=entry.event_type,
        server=text_of(event.get("server")),
        name=name_of(event),
        result=ANSWER_UNKNOWN if is_unanswered else _result(entry),
        rule=text_of(event.get("rule")),
        access=text_of(event.get("access")),
        ms=_milliseconds(event.get("duration_us")),
        trace=(entry.trace_id or NOTHING)[:8],
    )


def name_of(event: dict[str, Any]) -> str:
    """Return what a request asks for: the tool, the address or the prompt; the method where it has none."""
    names = (event.get(key) for key in ("tool", "uri", "prompt", "method"))
    return text_of(next((name for name in names if name is not None), None))


def text_of(value: object) -> str:
    """Return a member of an event as text: a string as it is, what was left out by its reason, the rest as JSON."""
    match value:
        case None:
            return NOTHING
        case str():
            return value or '""'
        case {"omitted": str() as reason}:
            return f"<omitted: {reason}>"
        case _:
            return json.dumps(cast("Any", value), ensure_ascii=False, separators=(",", ":"))


def _result(entry: Entry) -> str:
    event = entry.event
    if entry.event_type == "security_event":
        return text_of(event.get("kind"))
    if entry.event_type == "checkpoint":
        return "checkpoint"  # it has no more to say, and a narrow terminal leaves the type out
    return text_of(event.get("status") if event.get("phase") == "outcome" else event.get("decision"))


def _milliseconds(value: object) -> str:
    return f"{value / 1000:.3f}" if type(value) is int else text_of(value)
