"""What a log holds, in counts that need a bounded amount of memory whatever the log holds.

Of names that somebody else chose, the first `MAX_NAMES` are counted one by one and the rest together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from aegis_audit.answer import Unanswered
from aegis_audit.entry import Entry
from aegis_audit.row import NOTHING, text_of

MAX_NAMES: Final = 1000
"""Distinct names that one table counts one by one."""

MAX_REASONS: Final = 5
"""Distinct reasons that are counted one by one for one rule."""

MAX_SESSIONS: Final = 100_000
"""Sessions that are told apart."""

OTHER: Final = "(other)"
"""The name under which a full table counts."""

_MAX_NAME: Final = 512
_BITS: Final = 4
"""A duration is known by its highest bit and this many behind it: to within 1/32 of itself."""


class Tally:
    """Counts by name: `capacity` names are told apart, the rest is `OTHER`; names are cut to 512 characters."""

    def __init__(self, capacity: int = MAX_NAMES) -> None:
        self._counts: Counter[str] = Counter()
        self._capacity = capacity

    def add(self, value: object) -> None:
        """Count a member of an event, unless it is absent."""
        if value is None:
            return
        name = _name(value)
        is_known = name in self._counts or len(self._counts) < self._capacity
        self._counts[name if is_known else OTHER] += 1

    def ranked(self) -> list[tuple[str, int]]:
        """Return the names and their counts, the highest count first."""
        return sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))


class Durations:
    """Durations in microseconds: their number and extremes exactly, their median nearly."""

    def __init__(self) -> None:
        self.count = 0
        self.maximum = 0
        self._minimum: int | None = None
        self._steps: Counter[int] = Counter()

    def add(self, microseconds: int) -> None:
        """Count one duration."""
        self.count += 1
        self.maximum = max(self.maximum, microseconds)
        self._minimum = microseconds if self._minimum is None else min(self._minimum, microseconds)
        self._steps[microseconds & -_width(microseconds)] += 1

    @property
    def median(self) -> int | None:
        """Return the median, of an even number the lower one, to within 1/32 of it; None if there is none."""
        left = (self.count + 1) // 2
        for step, count in sorted(self._steps.items()):
            left -= count
            if left <= 0:
                return max(self._minimum or 0, min(step + _width(step) // 2, self.maximum))
        return None


def _width(microseconds: int) -> int:
    return 1 << max(0, microseconds.bit_length() - 1 - _BITS)


@dataclass(slots=True)
class Denials:
    """The denials by one rule, and the reasons that were given."""

    count: int = 0
    reasons: Tally = field(default_factory=lambda: Tally(MAX_REASONS))


@dataclass(slots=True)
class Tool:
    """One tool of one server: how often it was asked for and denied, and how long its answers took."""

    server: str
    name: str
    requests: int = 0
    denied: int = 0
    durations: Durations = field(default_factory=Durations)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain JSON values; `p50_us` is an estimate to within 1/32, `max_us` is exact."""
        return {
            "server": self.server,
            "tool": self.name,
            "requests": self.requests,
            "denied": self.denied,
            "answered": self.durations.count,
            "p50_us": self.durations.median,
            "max_us": self.durations.maximum if self.durations.count else None,
        }


class Summary:
    """The counts of a log; a request counts once, by its intent or its denial."""

    def __init__(self) -> None:
        self.entries = 0
        self.first_time: str | None = None
        self.last_time: str | None = None
        self.types, self.kinds, self.decisions, self.statuses, self.servers = (Tally() for _ in range(5))
        self.unanswered = Unanswered()
        self.has_more_sessions = False
        self._sessions: set[str] = set()
        self._tools: dict[tuple[str, str], Tool] = {}
        self._denials: defaultdict[str, Denials] = defaultdict(Denials)

    @property
    def sessions(self) -> int:
        """Return how many runs of a gateway wrote entries."""
        return len(self._sessions)

    def tools(self) -> list[Tool]:
        """Return the tools, the most asked for first."""
        return sorted(self._tools.values(), key=lambda tool: (-tool.requests, tool.server, tool.name))

    def slowest(self) -> list[Tool]:
        """Return the tools that have answered, the highest median first."""
        answered = (tool for tool in self.tools() if tool.durations.count)
        return sorted(answered, key=lambda tool: -(tool.durations.median or 0))

    def denials(self) -> list[tuple[str, Denials]]:
        """Return the rules that denied, the busiest first."""
        return sorted(self._denials.items(), key=lambda item: (-item[1].count, item[0]))

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain JSON values."""
        return {
            "entries": self.entries,
            "sessions": self.sessions,
            "has_more_sessions": self.has_more_sessions,
            "first_time": self.first_time,
            "last_time": self.last_time,
            "types": dict(self.types.ranked()),
            "kinds": dict(self.kinds.ranked()),
            "decisions": dict(self.decisions.ranked()),
            "statuses": dict(self.statuses.ranked()),
            "servers": dict(self.servers.ranked()),
            "tools": [tool.to_json() for tool in self.tools()],
            "denials": [
                {"rule": rule, "count": denials.count, "reasons": dict(denials.reasons.ranked())}
                for rule, denials in self.denials()
            ],
            "unanswered": self.unanswered.to_json(),
        }

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        self.entries += 1
        self.first_time = min(self.first_time or entry.timestamp, entry.timestamp)
        self.last_time = max(self.last_time or entry.timestamp, entry.timestamp)
        if len(self._sessions) < MAX_SESSIONS:
            self._sessions.add(entry.session_id)
        elif entry.session_id not in self._sessions:
            self.has_more_sessions = True
        self.types.add(entry.event_type)
        self.kinds.add(entry.kind)
        self.unanswered.take(entry)
        match entry.event.get("phase"):
            case "intent":
                self._add_request(entry.event)
            case "outcome":
                self._add_outcome(entry.event)
            case _ if entry.event_type == "access_denied":
                self._add_request(entry.event)
                self._add_denial(entry.event)
            case _:
                pass

    def _add_request(self, event: dict[str, Any]) -> None:
        self.decisions.add(event.get("decision"))
        self.servers.add(event.get("server"))
        if tool := self._tool(event):
            tool.requests += 1

    def _add_outcome(self, event: dict[str, Any]) -> None:
        self.statuses.add(event.get("status"))
        duration, tool = event.get("duration_us"), self._tool(event)
        if tool and type(duration) is int and duration >= 0:
            tool.durations.add(duration)

    def _add_denial(self, event: dict[str, Any]) -> None:
        rule = _name(event.get("rule"))
        denials = self._denials[rule if rule in self._denials or len(self._denials) < MAX_NAMES else OTHER]
        denials.count += 1
        denials.reasons.add(event.get("reason") or NOTHING)
        if tool := self._tool(event):
            tool.denied += 1

    def _tool(self, event: dict[str, Any]) -> Tool | None:
        if "tool" not in event:
            return None
        key = _name(event.get("server")), _name(event["tool"])
        if key not in self._tools and len(self._tools) >= MAX_NAMES:
            key = OTHER, OTHER
        return self._tools.setdefault(key, Tool(*key))


def _name(value: object) -> str:
    return text_of(value)[:_MAX_NAME]
