"""What the log says: one function for each event that the gateway records.

Everything that a peer chose is bounded and redacted here, so that every event fits in a line and no secret is in one.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from aegis_audit import canonical
from aegis_audit.canonical import Template
from aegis_audit.entry import Draft
from aegis_mcp.decision import Consent, Decision, Request, Word
from aegis_mcp.throttle import Throttle

MAX_TEXT: Final = 512
"""Characters of the longest name, id or address of a peer's that is recorded as it is."""

_MAX_FORMS: Final = 256
_SUBJECT: Final = slice(Request._fields.index("arguments"))
"""What the entries say of a request that is the same in the next one like it."""


class EventKind(Enum):
    """The kinds of security events: a closed catalogue, explained in `docs/reference/entry-format.md`."""

    LOG_OPENED = "log_opened"
    SEGMENT_OPENED = "segment_opened"
    SEGMENTS_DROPPED = "segments_dropped"
    RECOVERED = "recovered"
    ANCHOR_LAGGING = "anchor_lagging"
    SIGNING_SUSPENDED = "signing_suspended"
    BREAK_ACKNOWLEDGED = "break_acknowledged"
    ENTRIES_LOST = "entries_lost"
    GATEWAY_STARTED = "gateway_started"
    GATEWAY_STOPPED = "gateway_stopped"
    POLICY_LOADED = "policy_loaded"
    POLICY_REJECTED = "policy_rejected"
    DEFINITION_CHANGED = "definition_changed"
    RESULT_REFUSED = "result_refused"
    PROTOCOL_VIOLATION = "protocol_violation"
    UPSTREAM_STARTED = "upstream_started"
    UPSTREAM_LOST = "upstream_lost"
    CREDENTIALS_REGISTERED = "credentials_registered"
    LOGGED_IN = "logged_in"
    LOGGED_OUT = "logged_out"
    REFRESH_FAILED = "refresh_failed"
    REQUEST_FAILED = "request_failed"
    SESSION_RENEWED = "session_renewed"
    STATE_REFUSED = "state_refused"


class Status(Word):
    """How a request ended."""

    OK = "ok"
    TOOL_ERROR = "tool_error"
    RPC_ERROR = "rpc_error"
    CANCELLED = "cancelled"
    UPSTREAM_LOST = "upstream_lost"
    REFUSED = "refused"


class Client(NamedTuple):
    """Who asks, in the host's own words: its name and version, as they came."""

    name: str | None = None
    version: str | None = None


class Asked(NamedTuple):
    """One request as the log knows it: `trace_id` in 32 hex digits joins its entries."""

    request: Request
    request_id: str | int
    trace_id: str
    client: Client
    tool_sha256: str | None = None


class _Form(NamedTuple):
    """What the entries of calls that differ in nothing but their arguments and ids have in common."""

    event_type: str
    template: Template


class Recordkeeper:
    """Makes the drafts of one session's entries.

    `redact` takes a JSON value and returns the canonical form of what the log keeps of it, `scrub` takes and returns
    text. `policy_sha256` is that of the policy which decides now.
    """

    def __init__(
        self,
        *,
        policy_sha256: str,
        redact: Callable[[object], bytes],
        scrub: Callable[[str], str],
    ) -> None:
        self.session_id = os.urandom(16).hex()
        self.policy_sha256 = policy_sha256
        self._redact = redact
        self._scrub = lru_cache(maxsize=1024)(scrub)  # the same few names come again and again
        self._changes = Throttle(burst=1000, per_second=1, clock=time.monotonic_ns)
        self._forms: dict[tuple[object, ...], _Form] = {}
        self._violations = Throttle(burst=20, per_second=1, clock=time.monotonic_ns)

    def intent(self, asked: Asked, decision: Decision, consent: Consent | None = None) -> Draft:
        """Return the entry that is durable before the upstream sees the request."""
        request, request_id, trace_id, client, tool_sha256 = asked
        subject = request[_SUBJECT]
        key = (decision, consent, self.policy_sha256, tool_sha256, client, subject, request.is_from_upstream)
        form = self._forms.get(key)
        if form is None:
            members = self._judged(asked, decision, consent) | {"phase": "intent"}
            form = self._learn(key, asked, Template(members, ("arguments", "request_id")))
        event_type, template = form
        event = template.fill(self._redact(request.arguments), self._id(request_id))
        return Draft(event_type, event, self.session_id, trace_id)

    def denial(self, asked: Asked, decision: Decision, consent: Consent | None = None) -> Draft:
        """Return the entry of a request that was refused, and of which nothing was forwarded."""
        members = self._judged(asked, decision, consent) | {"forwarded": False, "reason": self._text(decision.reason)}
        template = Template(members, ("arguments", "request_id"))
        event = template.fill(self._redact(asked.request.arguments), self._id(asked.request_id))
        return Draft("access_denied", event, self.session_id, asked.trace_id)

    def outcome(self, asked: Asked, status: Status, duration_us: int, raw: bytes = b"", redacted: int = 0) -> Draft:
        """Return the entry that says how an allowed request ended.

        `raw` is the response frame as it went to the one who asked, empty if there was none; `redacted` is how many
        credentials were taken out of it.
        """
        request, request_id, trace_id, _, _ = asked
        key = (status, redacted, request[_SUBJECT], request.is_from_upstream)
        form = self._forms.get(key)
        if form is None:
            members = self._named(asked) | {"phase": "outcome", "status": status.value}
            members |= {"redacted": redacted} if redacted else {}
            holes = ("duration_us", "request_id", "result_bytes", "result_sha256")
            form = self._learn(key, asked, Template(members, holes))
        event_type, template = form
        digest = b'"%b"' % hashlib.sha256(raw).hexdigest().encode("ascii")
        event = template.fill(b"%d" % duration_us, self._id(request_id), b"%d" % len(raw), digest)
        return Draft(event_type, event, self.session_id, trace_id)

    def security(self, kind: EventKind, details: Mapping[str, object]) -> Draft:
        """Return a security event; text in `details` is scrubbed and bounded."""
        event = {name: self._texts(value) for name, value in details.items()}
        return Draft("security_event", canonical.encode(event | {"kind": kind.value}), self.session_id)

    def definition_changed(self, details: Mapping[str, object]) -> Draft | None:
        """Return the entry of a definition that is not trusted; None in a flood, which the next entry counts."""
        held_back = self._changes.admit()
        if held_back is None:
            return None
        return self.security(EventKind.DEFINITION_CHANGED, {**details, "unrecorded_before": held_back})

    def result_refused(self, asked: Asked, raw: bytes, reason: str) -> Draft:
        """Return the entry of an answer, given by its frame as it came, that did not reach the one who asked."""
        details = {"bytes": len(raw), "reason": reason, "sha256": hashlib.sha256(raw).hexdigest()}
        template = Template(self._named(asked) | details | {"kind": EventKind.RESULT_REFUSED.value}, ("request_id",))
        return Draft("security_event", template.fill(self._id(asked.request_id)), self.session_id, asked.trace_id)

    def violation(self, line: bytes, reason: str, sender: str, server: str) -> Draft | None:
        """Return the entry of a frame that breaks the protocol; None in a flood, which the next entry counts."""
        held_back = self._violations.admit()
        if held_back is None:
            return None
        details = {
            "forwarded": False,
            "from": sender,
            "reason": reason,
            "server": server,
            "unrecorded_before": held_back,
        }
        details |= {"bytes": len(line), "sha256": hashlib.sha256(line).hexdigest()}
        return self.security(EventKind.PROTOCOL_VIOLATION, details)

    def unrecorded(self) -> dict[str, int]:
        """Return how many changes and violations a flood has kept out since the last one, where it has."""
        counts = {
            "unrecorded_changes": self._changes.held_back,
            "unrecorded_violations": self._violations.held_back,
        }
        return {name: count for name, count in counts.items() if count}

    def _learn(self, key: tuple[object, ...], asked: Asked, template: Template) -> _Form:
        """Keep a form for the next call of the same tool, unless names that a peer chose are long."""
        request = asked.request
        form = _Form(_event_type(request), template)
        names = (request.method, request.tool, request.uri, request.prompt, *asked.client)
        if sum(len(name) for name in names if name) <= MAX_TEXT:
            if len(self._forms) >= _MAX_FORMS:
                self._forms.clear()
            self._forms[key] = form
        return form

    def _judged(self, asked: Asked, decision: Decision, consent: Consent | None) -> dict[str, Any]:
        event = self._named(asked) | {
            "access": decision.access.value,
            "access_from": decision.access_from.value,
            "client": {"name": self._text(asked.client.name), "version": self._text(asked.client.version)},
            "decision": decision.effect.value,
            "policy_sha256": self.policy_sha256,
            "rule": decision.rule,
        }
        if asked.tool_sha256 is not None:
            event["tool_sha256"] = asked.tool_sha256
        if consent is not None:
            event["consent"] = consent.value
        return event

    def _named(self, asked: Asked) -> dict[str, Any]:
        request = asked.request
        event: dict[str, Any] = {"method": self._text(request.method), "server": request.server}
        for name, value in (("tool", request.tool), ("uri", request.uri), ("prompt", request.prompt)):
            if value is not None:
                event[name] = self._text(value)
        return event

    def _id(self, request_id: str | int) -> bytes:
        if isinstance(request_id, int) and abs(request_id) <= canonical.MAX_INTEGER:
            return b"%d" % request_id
        return canonical.encode(self._text(request_id))

    def _texts(self, value: object) -> object:
        return (
            [self._text(item) for item in cast("tuple[object]", value)]
            if isinstance(value, tuple)
            else self._text(value)
        )

    def _text(self, value: object) -> object:
        if isinstance(value, str):
            return self._scrub(value) if len(value) <= MAX_TEXT else _omitted(value)
        if isinstance(value, int) and abs(value) > canonical.MAX_INTEGER:
            return _omitted(str(value))
        return value


def _event_type(request: Request) -> str:
    """Return the type of the entries of a request that policy allows."""
    if request.tool is not None and not request.is_from_upstream:
        return "tool_invocation"
    kind, _, _ = request.method.partition("/")
    if request.is_from_upstream or kind in {"sampling", "elicitation", "roots"}:
        return "client_request"
    if request.prompt is not None or kind == "prompts":
        return "prompt_access"
    if request.uri is not None or kind == "resources":
        return "resource_access"
    return "tool_invocation"


def _omitted(text: str) -> dict[str, object]:
    raw = text.encode("utf-8")
    return {"bytes": len(raw), "omitted": "too long", "sha256": hashlib.sha256(raw).hexdigest()}
