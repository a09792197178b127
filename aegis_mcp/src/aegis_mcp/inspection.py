"""What of an upstream's answer reaches the host, and what the log says of it.

An answer may hold definitions, requests to the host, credentials, and too much. What is looked for follows from what
was asked; an answer in which nothing is found passes as the bytes that came.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from aegis_audit.entry import Draft
from aegis_audit.value import Value
from aegis_mcp import identity, inputs, results
from aegis_mcp.audit.record import Asked, Client, Recordkeeper, Status
from aegis_mcp.decision import Decision, Effect, Request, Secrets
from aegis_mcp.frame import Frame
from aegis_mcp.inputs import InputRequest, OpenInputs
from aegis_mcp.lane import Flight
from aegis_mcp.offering import INSPECTED, Offering
from aegis_mcp.pins.quarantine import Change
from aegis_mcp.policy.evaluation import decide
from aegis_mcp.policy.model import Policy
from aegis_mcp.tasks import Tasks


class Inspected(Value):
    """An answer as the host gets it, or the reason why it does not.

    `drafts` go into the log with the outcome, `intents` after it: of requests to the host, so that the answer must not
    go on if they cannot be written. `redacted` counts the credentials that are gone.
    """

    frame: Frame
    refusal: str = ""
    drafts: tuple[Draft | None, ...] = ()
    intents: tuple[Draft | None, ...] = ()
    redacted: int = 0


class _Judged(Value):
    """One request to the host inside a message, and the decision on it."""

    wanted: InputRequest
    asked: Asked
    decision: Decision


class Inspector:
    """Looks into what one upstream sends."""

    def __init__(self, server: str, keeper: Recordkeeper, offering: Offering) -> None:
        self._server = server
        self._keeper = keeper
        self._offering = offering
        self._open = OpenInputs()
        self.tasks = Tasks()

    def inspect(self, policy: Policy, frame: Frame, flight: Flight) -> Inspected | None:
        """Look into the answer to a request of the host; None if it passes as it came, like most."""
        result, failure = frame.message.get("result"), frame.message.get("error")
        wanted = inputs.requested(result, failure)
        bounds = policy.results
        secrets = flight.secrets or bounds.secrets
        self.tasks.notice(flight, result)
        method = flight.frame.method
        if not wanted and bounds.max_bytes is None and secrets is Secrets.PASS and method not in INSPECTED:
            return None
        if len(wanted) > inputs.MAX_INPUTS:
            return self._flooded(frame)
        judged = self._judge(policy, wanted, flight.frame, flight.asked) if wanted else []
        if refusal := _refusal(judged):
            return Inspected(frame, refusal, self._denials(judged))
        frame, changes = self._restrict(policy, frame, flight.frame)
        found = results.inspect(frame, policy.results, secrets) if flight.asked else None
        if flight.asked and found and found.refusal:
            return Inspected(
                frame, found.refusal, (self._keeper.result_refused(flight.asked, frame.raw, found.refusal),)
            )
        intents = self._hold(judged, flight.frame, _state(result)) if judged else ()
        if found and found.redacted:
            return Inspected(frame._replace(raw=found.raw), "", changes, intents, found.redacted)
        return Inspected(frame, "", changes, intents)

    def notified(self, policy: Policy, frame: Frame) -> Inspected | None:
        """Look into a notification: that of a task may hold requests to the host too. None if there are none."""
        wanted = inputs.requested(frame.params, None)
        if not wanted:
            return None
        if len(wanted) > inputs.MAX_INPUTS:
            return self._flooded(frame)
        judged = self._judge(policy, wanted, frame, None)
        if refusal := _refusal(judged):
            return Inspected(frame, refusal, self._denials(judged))
        return Inspected(frame, intents=self._hold(judged, frame, None))

    def responded(self, frame: Frame) -> list[Draft]:
        """Return the outcomes of what a request of the host responds to, once it may go on."""
        return [self._outcome(flight, Status.OK, frame.raw) for flight in self._open.answered(frame.params)]

    def end(self) -> list[Draft]:
        """Return the outcomes of what nobody will respond to any more."""
        return [self._outcome(flight, Status.CANCELLED) for flight in self._open.end()]

    def _flooded(self, frame: Frame) -> Inspected:
        reason = f"more than {inputs.MAX_INPUTS} requests to the host in one message"
        return Inspected(frame, reason, (self._keeper.violation(frame.raw, reason, "upstream", self._server),))

    def _restrict(self, policy: Policy, frame: Frame, request: Frame) -> tuple[Frame, tuple[Draft | None, ...]]:
        if request.method not in INSPECTED:
            return frame, ()
        frame, changes = self._offering.restrict(policy, request, frame)
        return frame, tuple(map(self._changed, changes))

    def _changed(self, change: Change) -> Draft | None:
        details = {
            "definition": change.kind.value,
            "difference": change.difference,
            "name": change.name,
            "offered_sha256": change.offered_sha256,
            "pinned_sha256": change.pinned_sha256,
            "server": self._server,
            "why": change.why,
        }
        return self._keeper.definition_changed(
            {name: value for name, value in details.items() if value not in {None, ""}}
        )

    def _judge(
        self, policy: Policy, wanted: Sequence[InputRequest], carrier: Frame, call: Asked | None
    ) -> list[_Judged]:
        """Decide on requests to the host; they belong to the trace of the call that brings them."""
        client = call.client if call else Client()
        trace_id = call.trace_id if call else identity.trace_of(carrier)
        judged: list[_Judged] = []
        for one in wanted:
            request = Request(self._server, one.method, arguments=one.params, is_from_upstream=True)
            asked = Asked(request, carrier.id or one.key, trace_id, client)
            judged.append(_Judged(one, asked, _without_asking(decide(policy, request))))
        return judged

    def _denials(self, judged: Sequence[_Judged]) -> tuple[Draft, ...]:
        denied = [one for one in judged if not one.decision.effect.is_lenient]
        return tuple(self._keeper.denial(one.asked, one.decision) for one in denied)

    def _hold(self, judged: Sequence[_Judged], frame: Frame, state: object) -> tuple[Draft, ...]:
        """Return the intents of requests that are passed on, and wait for the responses."""
        drafts: list[Draft] = []
        for one in judged:
            drafts.append(self._keeper.intent(one.asked, one.decision))
            # Whoever waits needs no more than a name for the outcome: what was asked may be as long as a frame.
            asked = one.asked._replace(request=one.asked.request._replace(arguments={}))
            flight = Flight(frame._replace(raw=b"", message={}, params={}), asked, time.monotonic_ns())
            # What no key names is responded to by nobody, and it ends as it begins.
            gone = self._open.hold(state, one.wanted.key, flight) if one.wanted.key else flight
            if gone:
                drafts.append(self._outcome(gone, Status.OK if gone is flight else Status.CANCELLED))
        return tuple(drafts)

    def _outcome(self, flight: Flight, status: Status, raw: bytes = b"") -> Draft:
        assert flight.asked  # noqa: S101 - what is held has an entry
        return self._keeper.outcome(flight.asked, status, flight.duration_us, raw)


def _refusal(judged: Sequence[_Judged]) -> str:
    """Say which of these requests to the host must not reach it, nothing if all may."""
    denied = next((one for one in judged if not one.decision.effect.is_lenient), None)
    if denied is None:
        return ""
    asked, decision = denied.asked.request, denied.decision
    return f"the server asks for {_shown(asked.method)}, denied by {decision.rule!r}: {decision.reason}"


def _without_asking(decision: Decision) -> Decision:
    if decision.effect is not Effect.ASK:
        return decision
    reason = f"a person cannot be asked about a request inside an answer; {decision.reason}"
    return decision._replace(effect=Effect.DENY, reason=reason)


def _state(result: object) -> object:
    return cast("dict[str, Any]", result).get("requestState") if isinstance(result, dict) else None


def _shown(method: str) -> str:
    return repr(method if len(method) <= 100 else f"{method[:100]}…")
