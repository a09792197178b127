"""The gate that every frame passes: decide, record the intent, forward, record the outcome.

No request reaches the peer that it is meant for unless policy allows it and its intent is in the log. What may pass
leaves as the bytes that came, in the order in which they came.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from aegis_audit.entry import Draft
from aegis_mcp import frame as frames
from aegis_mcp import identity
from aegis_mcp.audit.record import Answer, Asked, Client, EventKind, Recordkeeper, Status
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.decision import Access, AccessFrom, Decision, Effect
from aegis_mcp.errors import AuditUnavailable, MalformedFrame
from aegis_mcp.frame import Frame, FrameKind
from aegis_mcp.lane import Flight, Lane
from aegis_mcp.policy.evaluation import decide
from aegis_mcp.policy.model import Policy
from aegis_mcp.settings import OnFailure
from aegis_mcp.upstream.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Passage:
    """What is to happen with one frame, once its entry is in the log.

    `forward` goes on to the peer, `answer` back to where the request came from. `flight` is the request that must not
    go on if its entry cannot be written. `is_weighty` marks a write or a denial, whose entry has to be on the disk.
    """

    lane: Lane
    draft: Draft | None = None
    forward: bytes | None = None
    answer: bytes | None = None
    flight: Flight | None = None
    is_weighty: bool = False


class Enforcement:
    """The gate of one host and one upstream."""

    def __init__(self, server: str, policy: Policy, keeper: Recordkeeper, recorder: Recorder) -> None:
        self._server = server
        self._policy = policy
        self._keeper = keeper
        self._recorder = recorder
        self._catalog = Catalog()
        self._client = Client()
        self._gone: str | None = None
        self._unrecorded = 0

    def connect(self, to_host: Callable[[bytes], None], to_upstream: Callable[[bytes], None]) -> None:
        """Set the ways to the two peers."""
        self._from_host = Lane(forward=to_upstream, answer=to_host)
        self._from_upstream = Lane(forward=to_host, answer=to_upstream)

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
        return policy.sha256 != before.sha256

    def upstream_started(self, to_upstream: Callable[[bytes], None]) -> None:
        """Go on with a new run of the upstream, which knows nothing of the one before."""
        self._gone = None
        self._catalog = Catalog()
        self._from_host.forward = self._from_upstream.answer = to_upstream

    async def host_sent(self, lines: Sequence[bytes]) -> None:
        """Take frames from the host through the gate, in order."""
        await self._pass([self._judge(line, self._from_host, self._from_upstream) for line in lines if line.strip()])

    async def upstream_sent(self, lines: Sequence[bytes]) -> None:
        """Take frames from the upstream through the gate, in order."""
        await self._pass([self._judge(line, self._from_upstream, self._from_host) for line in lines if line.strip()])

    async def _pass(self, passages: list[Passage]) -> None:
        """Write the entries of what has arrived together, then let each frame take its way."""
        failure = await self._record(passages)
        for passage in passages:
            if failure and passage.flight and not self._may_go_unrecorded(passage):
                _turn_back(passage.lane, passage.flight, failure)
                continue
            if failure and passage.draft:
                self._unrecorded += 1
            _carry_out(passage)

    async def _record(self, passages: list[Passage]) -> str | None:
        """Return why the entries could not be written, None once they are as durable as they must be."""
        drafts = [passage.draft for passage in passages if passage.draft]
        if not drafts:
            return None
        lost = self._unrecorded
        if lost:
            drafts.insert(0, self._keeper.security(EventKind.ENTRIES_LOST, {"count": lost}))
        try:
            await self._recorder.commit(drafts, is_write=any(passage.is_weighty for passage in passages))
        except AuditUnavailable as exc:
            return str(exc)
        self._unrecorded -= lost
        return None

    def _may_go_unrecorded(self, passage: Passage) -> bool:
        on_failure = self._policy.audit.on_failure
        return on_failure is OnFailure.ALLOW or (on_failure is OnFailure.DENY_WRITES and not passage.is_weighty)

    def _judge(self, line: bytes, lane: Lane, other: Lane) -> Passage:
        """Decide on one frame: `lane` is where its requests go, `other` where it answers requests of."""
        try:
            frame = frames.parse(line)
        except MalformedFrame as exc:
            # What an upstream prints is answered only where it is certainly a request: it may be no message at all.
            is_asked = lane is self._from_host or exc.request_id is not None
            answer = frames.rejection(exc) if is_asked else None
            return Passage(lane, self._violation(line, exc.reason, lane), answer=answer)
        match frame.kind:
            case FrameKind.REQUEST:
                return self._judge_request(frame, lane)
            case FrameKind.RESPONSE:
                return self._judge_response(frame, other)
            case FrameKind.NOTIFICATION:
                return self._judge_notification(frame, lane)

    def _judge_request(self, frame: Frame, lane: Lane) -> Passage:
        asked = self._identify(frame, lane)
        decision = self._impossible(frame, lane) or decide(self._policy, asked.request)
        if not decision.effect.is_lenient:
            answer = _refusal(frame, f"Denied by {decision.rule!r}: {decision.reason}", frames.DENIED)
            return Passage(lane, self._keeper.denial(asked, decision), answer=answer, is_weighty=True)
        flight = Flight(frame, asked if decision.is_recorded else None, time.monotonic_ns())
        lane.take_off(flight)
        if not decision.is_recorded:
            return Passage(lane, forward=frame.raw)
        is_weighty = decision.access is not Access.READ
        return Passage(lane, self._keeper.intent(asked, decision), frame.raw, flight=flight, is_weighty=is_weighty)

    def _impossible(self, frame: Frame, lane: Lane) -> Decision | None:
        """Refuse what cannot take off, whatever policy says."""
        reason = self._gone or lane.obstacle(frame)
        return Decision(Effect.DENY, "protocol", reason, Access.WRITE, AccessFrom.DEFAULT) if reason else None

    def _judge_response(self, frame: Frame, lane: Lane) -> Passage:
        """Let an answer pass to the one who asked, if somebody did. It goes the lane of its request backwards."""
        flight = lane.land(frame.key)
        if flight is None:
            if lane.was_cancelled(frame.key):
                return Passage(lane)
            sender = self._from_upstream if lane is self._from_host else self._from_host
            return Passage(lane, self._violation(frame.raw, "an answer that nobody waits for", sender))
        if flight.frame.method == "tools/list":
            self._catalog.page(frame.message.get("result"), is_first="cursor" not in flight.frame.params)
        return Passage(lane, self._outcome(flight, _status(frame), frame.raw), answer=frame.raw)

    def _judge_notification(self, frame: Frame, lane: Lane) -> Passage:
        draft = None
        if frame.method == "notifications/cancelled":
            flight = lane.cancel(frames.key_of(frame.params.get("requestId")))
            draft = self._outcome(flight, Status.CANCELLED) if flight else None
        elif frame.method == "notifications/tools/list_changed" and lane is self._from_upstream:
            self._catalog.changed()
        return Passage(lane, draft, forward=frame.raw)

    def _identify(self, frame: Frame, lane: Lane) -> Asked:
        if lane is self._from_upstream:
            request = identity.asked_of_host(frame, self._server)
            return Asked(request, frame.request_id, identity.trace_of(frame), self._client)
        self._client = identity.client_of(frame) or self._client
        request = identity.asked_of_upstream(frame, self._server, self._catalog)
        definition = self._catalog.tool(request.tool) if request.tool else None
        return Asked(
            request,
            frame.request_id,
            identity.trace_of(frame),
            self._client,
            definition.sha256 if definition else None,
        )

    async def upstream_ended(self, why: str, status: Status) -> None:
        """Answer every call that still waits, and record how it ended: nothing hangs on an upstream that has gone."""
        self._gone = f"the upstream {self._server!r} {why}"
        self._catalog = Catalog()
        self._from_upstream.land_all()
        flights = self._from_host.land_all()
        await self._pass([self._unanswered(flight, status) for flight in flights])

    def _unanswered(self, flight: Flight, status: Status) -> Passage:
        answer = _refusal(flight.frame, f"No answer: {self._gone}", frames.UNAVAILABLE)
        return Passage(self._from_host, self._outcome(flight, status), answer=answer)

    def _outcome(self, flight: Flight, status: Status, raw: bytes = b"") -> Draft | None:
        if flight.asked is None:
            return None
        duration = (time.monotonic_ns() - flight.started) // 1000
        return self._keeper.outcome(flight.asked, Answer(status, duration, raw))

    def _violation(self, line: bytes, reason: str, sender: Lane) -> Draft | None:
        return self._keeper.violation(line, reason, "host" if sender is self._from_host else "upstream", self._server)


def _turn_back(lane: Lane, flight: Flight, why: str) -> None:
    if lane.land(flight.frame.key):
        lane.answer(_refusal(flight.frame, f"Not forwarded: {why}", frames.UNAVAILABLE))


def _carry_out(passage: Passage) -> None:
    if passage.forward is not None:
        passage.lane.forward(passage.forward)
    if passage.answer is not None:
        passage.lane.answer(passage.answer)


def _status(frame: Frame) -> Status:
    if "error" in frame.message:
        return Status.RPC_ERROR
    result = frame.message["result"]
    has_failed = isinstance(result, dict) and cast("dict[str, object]", result).get("isError") is True
    return Status.TOOL_ERROR if has_failed else Status.OK


def _refusal(frame: Frame, text: str, code: int) -> bytes:
    if frame.method == "tools/call":
        return frames.tool_error(frame.id, text, is_modern=identity.is_modern(frame))
    return frames.error(frame.id, code, text)
