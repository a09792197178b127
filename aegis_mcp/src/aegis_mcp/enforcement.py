"""The gate that every frame passes: decide, record the intent, forward, record the outcome.

No request reaches the peer that it is meant for unless policy allows it and its intent is in the log. What may pass
leaves as the bytes that came, in the order in which they came.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from aegis_audit.entry import Draft
from aegis_mcp import asking, identity
from aegis_mcp import frame as frames
from aegis_mcp.asking import Again, Asking, Question
from aegis_mcp.audit.record import Asked, Client, Recordkeeper, Status
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.carrier import Carrier
from aegis_mcp.decision import Access, AccessFrom, Consent, Decision, Effect, Request
from aegis_mcp.errors import MalformedFrame
from aegis_mcp.frame import Frame, FrameKind, Unanswered
from aegis_mcp.handshake import Handshake
from aegis_mcp.inspection import Inspector
from aegis_mcp.lane import Flight, Lane
from aegis_mcp.limits import Limiter
from aegis_mcp.offering import Offering
from aegis_mcp.passage import Passage, refusal, status_of
from aegis_mcp.pins.quarantine import Pins
from aegis_mcp.policy.evaluation import decide
from aegis_mcp.policy.model import Policy
from aegis_mcp.upstream.catalog import Catalog

_MUCH: Final = 64 * 1024
"""Bytes that take so long to judge that the log must not be locked meanwhile."""

OpenPins = Callable[[Policy], Pins | None]
"""Opens the pins that a policy asks for; None where it trusts every definition."""


class Enforcement:
    """The gate of one host and one upstream."""

    def __init__(
        self,
        server: str,
        policy: Policy,
        keeper: Recordkeeper,
        recorder: Recorder,
        *,
        limiter: Limiter,
        open_pins: OpenPins = lambda _: None,
    ) -> None:
        self._server = server
        self._policy = policy
        self._keeper = keeper
        self._recorder = recorder
        self._limiter = limiter
        self._open_pins = open_pins
        self._offering = Offering(server, open_pins(policy), policy.editable)
        self._inspector = Inspector(server, keeper, self._offering)
        self._asking = Asking()
        self.handshake = Handshake()
        self._catalog = Catalog()
        self._client = Client()
        self._capabilities: Mapping[str, Any] = {}
        self._is_modern = False
        self._gone: str | None = None
        self._carrier = Carrier(keeper, recorder, self._told, policy.audit.on_failure)
        self._carry = self._carrier.carry

    def connect(self, to_host: Callable[[bytes], None], to_upstream: Callable[[bytes], None]) -> None:
        """Set the ways to the two peers."""
        self._from_host = Lane(forward=to_upstream, answer=to_host)
        self._from_upstream = Lane(forward=to_host, answer=to_upstream)

    def host_sent(self, lines: Sequence[bytes]) -> Awaitable[None]:
        """Take frames from the host through the gate, in order; return what there is to wait for, mostly `DONE`."""
        return self._take(lines, self._from_host, self._from_upstream)

    def upstream_sent(self, lines: Sequence[bytes]) -> Awaitable[None]:
        """Take frames from the upstream through the gate, in order; return what there is to wait for, as above."""
        return self._take(lines, self._from_upstream, self._from_host)

    def _take(self, lines: Sequence[bytes], lane: Lane, other: Lane) -> Awaitable[None]:
        if sum(map(len, lines)) > _MUCH:
            self._recorder.leave()  # other gateways need not wait while it is looked at
        return self._carry([self._judge(line, lane, other) for line in lines if line.strip()])

    def _judge(self, line: bytes, lane: Lane, other: Lane) -> Passage:
        """Decide on one frame: `lane` is where its requests go, `other` where it answers requests of."""
        try:
            frame = frames.parse(line)
        except MalformedFrame as exc:
            return self._judge_malformed(line, exc, lane, other)
        match frame.kind:
            case FrameKind.RESPONSE:
                has_come = not isinstance(line, Unanswered)
                return self._judge_response(frame, other, status_of(frame) if has_come else Status.UPSTREAM_LOST)
            case FrameKind.REQUEST if lane is self._from_host:
                return self._judge_request(frame)
            case FrameKind.REQUEST:
                return self._judge_request_of_upstream(frame)
            case FrameKind.NOTIFICATION:
                return self._judge_notification(frame, lane)

    def _judge_malformed(self, line: bytes, malformed: MalformedFrame, lane: Lane, other: Lane) -> Passage:
        """Let nothing of a line pass that is no frame; who waits for an answer is told."""
        violation = self._violation(line, malformed.reason, lane)
        answered = frames.answered_id(line)
        flight = None if answered is None else other.land(answered)
        if flight:
            told = self._told(
                flight.frame, f"No answer that could be passed on: {malformed.reason}", frames.UNAVAILABLE
            )
            return Passage(other, (violation, self._outcome(flight, Status.REFUSED, told or b"")), answer=told)
        # What an upstream prints is answered only where it is certainly a request: it may be no message at all.
        is_asked = lane is self._from_host or malformed.request_id is not None
        return Passage(lane, (violation,), answer=frames.rejection(malformed) if is_asked else None)

    def _judge_request(self, frame: Frame) -> Passage:
        """Decide on what the host asks."""
        if "_meta" in frame.params or frame.method == "initialize":
            self._meet(frame)
        if "requestState" in frame.params and (again := self._asking.again(frame)):
            return self._judge_again(again)
        asked = self._identify(frame)
        decision = self._decide(frame, self._from_host, asked.request)
        return self._settle(Question(self._from_host, frame, asked, decision))

    def _judge_again(self, again: Again) -> Passage:
        """Decide on a request that has come again with the answer to a question."""
        lane, frame, asked = self._from_host, again.frame, self._identify(again.frame)
        decision = _impossible(asking.STALE) if again.is_stale else self._decide(frame, lane, asked.request)
        passage = self._settle(Question(lane, frame, asked, decision), again.consent)
        spoilt = self._settle(again.spoilt, Consent.FAILED).drafts if again.spoilt else ()
        return passage._replace(drafts=(*spoilt, *passage.drafts))

    def _judge_request_of_upstream(self, frame: Frame) -> Passage:
        """Decide on what the upstream asks of the host: sampling, elicitation, roots, or anything else."""
        lane = self._from_upstream
        if self._is_modern:
            # Nobody would answer it, and to answer it here would be a violation too (MCP 2026-07-28, basic/transports).
            reason = "a request of the upstream, which from revision 2026-07-28 on has none"
            return Passage(lane, (self._violation(frame.raw, reason, lane),))
        request = identity.asked_of_host(frame, self._server)
        asked = Asked(request, frame.request_id, identity.trace_of(frame), self._client)
        return self._settle(Question(lane, frame, asked, self._decide(frame, lane, request)))

    def _meet(self, frame: Frame) -> None:
        """Learn from a request who the host is, what it can do, and which era it speaks."""
        if identity.is_modern(frame):
            self._is_modern = True
        elif frame.method == "initialize":
            self._capabilities, self._is_modern = identity.capabilities_of(frame), False
        self._client = identity.client_of(frame) or self._client

    def _identify(self, frame: Frame) -> Asked:
        request = identity.asked_of_upstream(frame, self._server, self._catalog)
        if "taskId" in frame.params:
            request = self._inspector.tasks.request_of(frame, request)
        definition = self._catalog.tool(request.tool) if request.tool else None
        digest = definition.sha256 if definition else None
        return Asked(request, frame.request_id, identity.trace_of(frame), self._client, digest)

    def _decide(self, frame: Frame, lane: Lane, request: Request) -> Decision:
        """Return the decision: what cannot take off or is quarantined is denied whatever policy says."""
        if reason := self._gone or lane.obstacle(frame):
            return _impossible(reason)
        decision = decide(self._policy, request)
        if decision.effect is not Effect.DENY and (reason := self._offering.quarantined(request)):
            return decision._replace(effect=Effect.DENY, rule="pins", reason=reason)
        return decision

    def _settle(self, question: Question, consent: Consent | None = None) -> Passage:
        """Let a request go on, have a person asked, or refuse it; `consent` is what came of asking before."""
        decision = question.decision
        if not decision.effect.is_lenient:
            if decision.effect is Effect.DENY:
                return self._refuse(question, consent)
            if consent is None:
                return self._ask(question)
        if consent is not None and consent is not Consent.ACCEPT:
            return self._refuse(asking.unanswered(question, consent), consent)
        if self._policy.limits and (full := self._limiter.refusal(self._policy, question.asked.request, decision)):
            return self._refuse(question._replace(decision=full), consent)
        return self._admit(question, consent)

    def _admit(self, question: Question, consent: Consent | None) -> Passage:
        lane, frame, asked, decision = question
        if lane is self._from_host:
            self.handshake.asked(frame)
        if not decision.is_recorded:
            lane.take_off(Flight(frame, None, time.monotonic_ns()))
            return Passage(lane, forward=frame.raw)
        flight = Flight(frame, asked, time.monotonic_ns(), decision.secrets or self._inspector.tasks.secrets_of(frame))
        lane.take_off(flight)
        drafts = (self._keeper.intent(asked, decision, consent),)
        if "inputResponses" in frame.params:
            drafts += tuple(self._inspector.responded(frame))
        is_weighty = decision.access is not Access.READ
        return Passage(lane, drafts, frame.raw, None, flight, True, is_weighty)

    def _refuse(self, question: Question, consent: Consent | None = None) -> Passage:
        decision = question.decision
        answer = self._told(question.frame, f"Denied by {decision.rule!r}: {decision.reason}", frames.DENIED)
        draft = self._keeper.denial(question.asked, decision, consent)
        return Passage(question.lane, (draft,), answer=answer, is_weighty=True)

    def _ask(self, question: Question) -> Passage:
        """Have the host ask a person; in the meantime everything else goes on."""
        if not self._asking.can_ask(question, self._capabilities):
            return self._settle(question, Consent.FAILED)
        expires = time.monotonic() + self._policy.ask_seconds
        if question.is_modern:
            return Passage(self._from_host, answer=self._asking.require_input(question, expires))
        return Passage(self._from_upstream, forward=self._asking.elicit(question, expires, self._from_upstream))

    def _resume(self, question: Question, consent: Consent) -> Passage:
        """Go on with a request about which a person was asked: what has changed meanwhile counts."""
        if consent is Consent.ACCEPT:
            lane, frame, asked, _ = question
            asked = self._identify(frame) if lane is self._from_host else asked
            question = Question(lane, frame, asked, self._decide(frame, lane, asked.request))
        return self._settle(question, consent)

    def _judge_response(self, frame: Frame, lane: Lane, status: Status) -> Passage:
        """Let an answer pass to the one who asked, if somebody did. It goes the lane of its request backwards."""
        flight = lane.land(frame.id)
        if flight and lane is self._from_host:
            return self._judge_answer(frame, flight, status)
        if flight:
            return Passage(lane, (self._outcome(flight, status, frame.raw),), answer=frame.raw)
        if lane is self._from_upstream and (answered := self._asking.answered(frame, lane)):
            return self._resume(*answered)
        if lane.was_cancelled(frame.id):
            return Passage(lane)
        sender = self._from_upstream if lane is self._from_host else self._from_host
        return Passage(lane, (self._violation(frame.raw, "an answer that nobody waits for", sender),))

    def _judge_answer(self, frame: Frame, flight: Flight, status: Status) -> Passage:
        """Let an answer pass to the host as far as what is in it may."""
        if flight.frame.method == "tools/list":
            self._catalog.page(frame.message.get("result"), is_first=flight.frame.params.get("cursor") is None)
        found = self._inspector.inspect(self._policy, frame, flight)
        if found is None:
            answer = self.handshake.answered(flight.frame, frame)
            return Passage(self._from_host, (self._outcome(flight, status, answer or b""),), answer=answer)
        if found.refusal:
            answer = self._told(flight.frame, f"The answer was held back: {found.refusal}", frames.DENIED)
            outcome = self._outcome(flight, Status.REFUSED, answer or b"")
            return Passage(self._from_host, (*found.drafts, outcome), answer=answer, is_weighty=True)
        answer = self.handshake.answered(flight.frame, found.frame)
        outcome = self._outcome(flight, status, answer or b"", found.redacted)
        drafts, is_bound = (*found.drafts, outcome, *found.intents), bool(found.intents)
        return Passage(self._from_host, drafts, answer=answer, flight=flight, is_bound=is_bound, is_weighty=is_bound)

    def _judge_notification(self, frame: Frame, lane: Lane) -> Passage:
        if denied := self._denied_notification(frame, lane):
            return denied
        if frame.method == "notifications/cancelled":
            return self._judge_cancellation(frame, lane)
        if lane is self._from_host:
            self.handshake.notified(frame)
            return Passage(lane, forward=frame.raw)
        if frame.method == "notifications/tools/list_changed":
            self._catalog.changed()
        found = self._inspector.notified(self._policy, frame)
        if found is None:
            return Passage(lane, forward=frame.raw)
        drafts, is_bound = (*found.drafts, *found.intents), bool(found.intents)
        forward = None if found.refusal else frame.raw
        return Passage(lane, drafts, forward, is_bound=is_bound, is_weighty=bool(drafts))

    def _denied_notification(self, frame: Frame, lane: Lane) -> Passage | None:
        """Drop a notification that a rule denies by its method; nobody can be asked about one."""
        is_from_upstream = lane is self._from_upstream
        request = Request(self._server, frame.method, arguments=frame.params, is_from_upstream=is_from_upstream)
        decision = decide(self._policy, request)
        if decision.effect.is_lenient:
            return None
        asked = Asked(request, "", identity.trace_of(frame), self._client)
        return Passage(lane, (self._keeper.denial(asked, decision._replace(effect=Effect.DENY)),), is_weighty=True)

    def _judge_cancellation(self, frame: Frame, lane: Lane) -> Passage:
        """Pass a cancellation on to where its request went: to the other peer, or to a person."""
        request_id = frames.as_id(frame.params.get("requestId"))
        withdrawn = self._asking.withdraw(lane, request_id, self._from_upstream)
        if withdrawn:
            question, gone = withdrawn
            return Passage(self._from_upstream, self._settle(question, Consent.WITHDRAWN).drafts, gone, is_weighty=True)
        if request_id in lane.reserved:
            # A question of the gateway's own, which is only a person's to close.
            return Passage(lane, (self._violation(frame.raw, "a cancellation of what somebody else has asked", lane),))
        flight = lane.cancel(request_id)
        outcome = self._outcome(flight, Status.CANCELLED) if flight else None
        return Passage(lane, (outcome,), forward=frame.raw)

    def _give_up(self, question: Question, gone: bytes | None, consent: Consent) -> list[Passage]:
        """Refuse a request that nobody has decided on; `gone` closes the question at the host that was asked."""
        refused = self._settle(question, consent)
        if gone is None:
            return [refused._replace(answer=None)]  # it was answered `input_required`
        return [Passage(self._from_upstream, forward=gone), refused]

    @property
    def unrecorded(self) -> int:
        """Return how many entries the log has not taken, and has not been told of since."""
        return self._carrier.unrecorded

    @property
    def policy(self) -> Policy:
        """Return the policy that decides now."""
        return self._policy

    def adopt(self, policy: Policy) -> bool:
        """Let another policy decide from the next frame on; tell whether the host's lists may have changed.

        What is in flight stays so: it was decided on when it was asked.
        """
        before, self._policy = self._policy, policy
        self._keeper.policy_sha256 = policy.sha256
        if policy.pins is not before.pins:
            self._offering.trust(self._open_pins(policy))
        return policy.sha256 != before.sha256

    def announce(self, families: Iterable[str] = ("tools", "prompts", "resources")) -> None:
        """Tell the host that its lists of these may have changed."""
        listening = self._from_host.flying("subscriptions/listen")
        for line in self._offering.announcements(families, listening, is_modern=self._is_modern):
            self._from_upstream.forward(line)

    async def tend(self) -> None:
        """Do what time brings, about once a second: end questions that nobody answers, notice what was approved."""
        expired = self._asking.expire(time.monotonic(), self._from_upstream)
        await self._carry([passage for one in expired for passage in self._give_up(*one, Consent.TIMEOUT)])
        if outdated := self._offering.outdated():
            self.announce(outdated)

    def upstream_started(self, to_upstream: Callable[[bytes], None]) -> None:
        """Go on with a new run of the upstream, which knows nothing of the one before."""
        self._gone = None
        self._catalog = Catalog()
        self.handshake.upstream_started()
        self._from_host.forward = self._from_upstream.answer = to_upstream

    async def upstream_ended(self, why: str, status: Status) -> None:
        """Answer every call that still waits, and record how it ended: nothing hangs on an upstream that has gone."""
        self._gone = f"the upstream {self._server!r} {why}"
        self._catalog = Catalog()
        withdrawn = [self._withdrawn(flight, status) for flight in self._from_upstream.cancel_all()]
        questions = self._asking.expire(math.inf, self._from_upstream)
        passages = [self._unanswered(flight, status) for flight in self._from_host.land_all()]
        passages += [passage for one in questions for passage in self._give_up(*one, Consent.WITHDRAWN)]
        await self._carry([*withdrawn, *passages, Passage(self._from_upstream, tuple(self._inspector.end()))])

    def _withdrawn(self, flight: Flight, status: Status) -> Passage:
        """Tell the host that nobody waits any more for what an upstream has asked of it."""
        cancelled = frames.notification("notifications/cancelled", {"requestId": flight.frame.id})
        return Passage(self._from_upstream, (self._outcome(flight, status),), forward=cancelled)

    def _unanswered(self, flight: Flight, status: Status) -> Passage:
        answer = self._told(flight.frame, f"No answer: {self._gone}", frames.UNAVAILABLE)
        return Passage(self._from_host, (self._outcome(flight, status),), answer=answer)

    def _told(self, request: Frame, text: str, code: int) -> bytes | None:
        """Return what is told to whoever waits for an answer; for a request of the gateway's own nobody does."""
        return None if self.handshake.is_own(request) else refusal(request, text, code)

    def _outcome(self, flight: Flight, status: Status, raw: bytes = b"", redacted: int = 0) -> Draft | None:
        if flight.asked is None:
            return None
        return self._keeper.outcome(flight.asked, status, flight.duration_us, raw, redacted)

    def _violation(self, line: bytes, reason: str, sender: Lane) -> Draft | None:
        return self._keeper.violation(line, reason, "host" if sender is self._from_host else "upstream", self._server)


def _impossible(reason: str) -> Decision:
    return Decision(Effect.DENY, "protocol", reason, Access.WRITE, AccessFrom.DEFAULT)
