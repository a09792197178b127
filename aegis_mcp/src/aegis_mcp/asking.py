"""Questions to a person, and what came of them: a request that needs consent waits here until somebody has decided.

In the handshake era the gateway asks the host with an elicitation of its own. From revision 2026-07-28 on there are no
such requests: the call is answered `input_required`, and the host sends it again with what the person said. Either way
only the host's own answer to the gateway's own question counts; nothing in a call's arguments can stand for it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from aegis_audit.escape import defuse
from aegis_audit.value import Value
from aegis_mcp import frame as frames
from aegis_mcp import identity
from aegis_mcp.audit.record import Asked
from aegis_mcp.decision import Consent, Decision, Effect
from aegis_mcp.frame import Frame, FrameId
from aegis_mcp.lane import Lane

MAX_QUESTIONS: Final = 64
"""How many questions may wait for an answer at the same time."""

MAX_ASKED: Final = 1024 * 1024
"""Bytes of the largest request about which a person can be asked."""

_STATE: Final = "aegis-consent:"
_INPUT: Final = "aegis"
STALE: Final = "this question has been answered, has expired, or was about another request; send the request anew"
"""Why a request is refused that brings a state of ours which nobody waits for."""

_MOST_SHOWN: Final = 2000
_ASKABLE: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
_OURS: Final = ("inputResponses", "requestState")
_FORM: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
_REASONS: Final = {
    Consent.DECLINE: "a person declined it",
    Consent.CANCEL: "a person closed the question without an answer",
    Consent.TIMEOUT: "nobody answered the question in time",
    Consent.WITHDRAWN: "it was given up before anybody had answered",
    Consent.FAILED: "this host did not, or cannot, ask a person",
}


class Question(NamedTuple):
    """A request that is judged, where it is to go, and the decision so far: what a person may be asked about."""

    lane: Lane
    frame: Frame
    asked: Asked
    decision: Decision

    @property
    def is_modern(self) -> bool:
        """Tell whether a result puts the question: only a host chooses an era, whatever an upstream's envelope says."""
        return not self.asked.request.is_from_upstream and identity.is_modern(self.frame)

    @property
    def wording(self) -> str:
        """Return what the person reads, in printable characters: what is asked, of whom, and why."""
        request = self.asked.request
        subject = request.tool or request.uri or request.prompt
        what = f"{request.method} {subject!r}" if subject else request.method
        who = (
            f"Let the server {request.server!r} ask for"
            if request.is_from_upstream
            else f"At {request.server!r}, allow"
        )
        shown = json.dumps(request.arguments, ensure_ascii=False)
        shown = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}… ({len(shown)} characters)"
        return defuse(f"{who} {what}? With {shown}. Asked because {self.decision.reason}.")


class Again(Value):
    """A request that came again with an answer: as it was asked about, under its new id.

    One `is_stale` whose question is not open, or was about another request; then `frame` is as it came. `spoilt` is
    the question about that other request, which nobody can answer any more.
    """

    frame: Frame
    consent: Consent
    is_stale: bool = False
    spoilt: Question | None = None


class _Waiting(Value):
    """A question that is open until `expires`, in seconds of the monotonic clock."""

    question: Question
    expires: float


class Asking:
    """The questions of one host that wait for an answer."""

    def __init__(self) -> None:
        self._elicited: dict[FrameId | None, _Waiting] = {}
        self._required: dict[str, _Waiting] = {}

    def can_ask(self, question: Question, capabilities: Mapping[str, Any]) -> bool:
        """Tell whether the host can ask this question; `capabilities` are those of its handshake."""
        frame = question.frame
        if len(self._elicited) + len(self._required) >= MAX_QUESTIONS or len(frame.raw) > MAX_ASKED:
            return False
        if question.is_modern:
            return frame.method in _ASKABLE and _takes_forms(identity.capabilities_of(frame))
        return _takes_forms(capabilities)

    def elicit(self, question: Question, expires: float, towards_host: Lane) -> bytes:
        """Return the request to the host that asks a question."""
        # Nobody foresees it: to an upstream that had asked under the same one a late answer would go, or come from.
        own = f"aegis-{secrets.token_urlsafe(16)}"
        towards_host.reserved.add(own)
        question.lane.reserved.add(question.frame.id)
        self._elicited[own] = _Waiting(question, expires)
        return frames.request(own, "elicitation/create", _form(question))

    def require_input(self, question: Question, expires: float) -> bytes:
        """Return the answer to a request that makes the host ask the question and send the request again."""
        state = _STATE + secrets.token_urlsafe(32)
        self._required[state] = _Waiting(question, expires)
        wanted = {_INPUT: {"method": "elicitation/create", "params": _form(question)}}
        result = {"resultType": "input_required", "inputRequests": wanted, "requestState": state}
        return frames.result(question.frame.id, result)

    def answered(self, answer: Frame, towards_host: Lane) -> tuple[Question, Consent] | None:
        """Return the question that an answer of the host belongs to and what it says, None if it belongs to none."""
        if answer.id not in self._elicited:
            return None
        return self._close(answer.id, towards_host), _consent(answer.message.get("result"))

    def again(self, frame: Frame) -> Again | None:
        """Take a request that came again with a state of ours; None for every other request.

        A state is good for once, and for the request that it was made for.
        """
        state: object = frame.params.get("requestState")
        if not (isinstance(state, str) and state.startswith(_STATE)):
            return None
        waiting = self._required.pop(state, None)
        if waiting is None or _essence(frame) != _essence(waiting.question.frame):
            return Again(frame, Consent.FAILED, is_stale=True, spoilt=waiting.question if waiting else None)
        responses: object = frame.params.get("inputResponses")
        given = cast("dict[str, Any]", responses).get(_INPUT) if isinstance(responses, dict) else None
        return Again(_as_asked(waiting.question.frame, frame), _consent(given))

    def withdraw(self, lane: Lane, request_id: FrameId | None, towards_host: Lane) -> tuple[Question, bytes] | None:
        """Take a question back whose request is not wanted any more, with what closes it at the host."""
        for own, waiting in self._elicited.items():
            if waiting.question.lane is lane and waiting.question.frame.id == request_id:
                return self._close(own, towards_host), _closing(own)
        return None

    def expire(self, now: float, towards_host: Lane) -> list[tuple[Question, bytes | None]]:
        """Take the questions back that were open until `now`, with what closes them at the host where it was asked."""
        states = [state for state, waiting in self._required.items() if waiting.expires <= now]
        silent: list[tuple[Question, bytes | None]] = [(self._required.pop(state).question, None) for state in states]
        late = [own for own, waiting in self._elicited.items() if waiting.expires <= now]
        return silent + [(self._close(own, towards_host), _closing(own)) for own in late]

    def _close(self, own: FrameId | None, towards_host: Lane) -> Question:
        question = self._elicited.pop(own).question
        towards_host.reserved.discard(own)
        question.lane.reserved.discard(question.frame.id)
        return question


def unanswered(question: Question, consent: Consent | None) -> Question:
    """Return the question with the reason why it ends without consent."""
    decision = question.decision
    reason = f"{_REASONS[consent]}; {decision.reason}" if consent in _REASONS else decision.reason
    return question._replace(decision=decision._replace(effect=Effect.ASK, reason=reason))


def _closing(own: FrameId | None) -> bytes:
    gone = {"requestId": own, "reason": "the question is not open any more"}
    return frames.notification("notifications/cancelled", gone)


def _form(question: Question) -> dict[str, Any]:
    return {"message": question.wording, "requestedSchema": _FORM}


def _takes_forms(capabilities: Mapping[str, Any]) -> bool:
    # Before there were modes an empty object meant forms, and it still does (MCP 2025-11-25, client/elicitation).
    declared = capabilities.get("elicitation")
    return isinstance(declared, dict) and ("form" in declared or "url" not in declared)


def _consent(answer: object) -> Consent:
    action = cast("dict[str, Any]", answer).get("action") if isinstance(answer, dict) else None
    answers = (Consent.ACCEPT, Consent.DECLINE, Consent.CANCEL)
    return next((consent for consent in answers if consent.value == action), Consent.FAILED)


def _essence(frame: Frame) -> tuple[str, str]:
    """Return what makes a request the one that it is, in one spelling: its method and params, without the envelope."""
    params = {name: value for name, value in frame.params.items() if name not in {*_OURS, "_meta"}}
    return frame.method, json.dumps(params, sort_keys=True)


def _as_asked(original: Frame, again: Frame) -> Frame:
    """Return the request as it was asked about, with the id and the envelope with which it came again."""
    envelope = {"_meta": again.params["_meta"]} if "_meta" in again.params else {}
    params = {name: value for name, value in original.params.items() if name != "_meta"} | envelope
    message = {**original.message, "id": again.id, "params": params}
    return Frame(original.kind, frames.dump(message), message, again.id, original.method, params)
