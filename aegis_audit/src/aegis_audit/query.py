"""Which entries are asked for: filters as values.

A filter that cannot be understood is refused where it is read; one that is held here decides on every entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

from aegis_audit.entry import Entry
from aegis_audit.errors import UnusableQuery

TIME_FORMS: Final = "2026-11-24, 2026-11-24T03:31:51Z, 2026-11-24T04:31:51+01:00, or ago: 90s, 15m, 2h, 3d, 1w"
"""The accepted forms of a time, for help and errors."""

_RELATIVE: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_ABSOLUTE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_HEX_PREFIX: Final = re.compile(r"[0-9a-f]{1,32}")


@dataclass(frozen=True, slots=True)
class Query:
    """What an entry must be to be shown; what is empty or None does not filter.

    `servers` and `tools` are globs, of which one must match; `session` and `trace` are the first hex digits; `since`
    and `until` are timestamps as entries have them, the first included and the last not.
    """

    types: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    decision: str | None = None
    session: str | None = None
    trace: str | None = None
    since: str | None = None
    until: str | None = None

    def matches(self, entry: Entry) -> bool:
        """Tell whether `entry` is asked for."""
        return (
            (not self.types or entry.event_type in self.types)
            and (not self.servers or _is_any(entry.event.get("server"), self.servers))
            and (not self.tools or _is_any(entry.event.get("tool"), self.tools))
            and (self.decision is None or entry.event.get("decision") == self.decision)
            and (self.session is None or entry.session_id.startswith(self.session))
            and (self.trace is None or (entry.trace_id or "").startswith(self.trace))
            # Timestamps of one form and one zone are ordered as text is.
            and (self.since is None or entry.timestamp >= self.since)
            and (self.until is None or entry.timestamp < self.until)
        )


def _is_any(value: object, globs: tuple[str, ...]) -> bool:
    return isinstance(value, str) and any(fnmatchcase(value, glob) for glob in globs)


def parse_time(text: str, now: datetime) -> str:
    """Return the timestamp, as entries have it, of a moment or of a while before `now`; UTC where no zone is named.

    Raises:
        UnusableQuery: the text is none of these.
    """
    try:
        instant = _instant(text, now).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise UnusableQuery(f"{text!r} is no time; accepted are {TIME_FORMS}") from exc
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_age(text: str, now: datetime) -> str:
    """Return the timestamp, as entries have it, of so long before `now`.

    Raises:
        UnusableQuery: the text is no age.
    """
    if not _RELATIVE.fullmatch(text):
        raise UnusableQuery(f"{text!r} is no age; accepted are 90s, 15m, 2h, 3d, 1w")
    return parse_time(text, now)


def _instant(text: str, now: datetime) -> datetime:
    if relative := _RELATIVE.fullmatch(text):
        return now - timedelta(**{_UNITS[relative[2]]: int(relative[1])})
    if not _ABSOLUTE.fullmatch(text):
        raise ValueError(text)
    instant = datetime.fromisoformat(text.upper())
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def parse_id(text: str) -> str:
    """Return the first digits of a session or trace id in the form that entries have.

    Raises:
        UnusableQuery: the text is no start of such an id.
    """
    prefix = text.lower()
    if not _HEX_PREFIX.fullmatch(prefix):
        raise UnusableQuery(f"{text!r} is no start of an id; accepted are 1 to 32 hex digits")
    return prefix
