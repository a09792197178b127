"""What happens with one frame once it is judged, and how a request is told that it was refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aegis_audit.entry import Draft
from aegis_mcp import frame as frames
from aegis_mcp import identity
from aegis_mcp.audit.record import Status
from aegis_mcp.frame import Frame
from aegis_mcp.lane import Flight, Lane


class Passage(NamedTuple):
    """What is to happen with one frame, once its entries are in the log.

    `forward` goes on to the peer, `answer` back to where the request came from. What `is_bound` must not go on if its
    entries cannot be written; then `flight` is the request that is answered with an error. `is_weighty` marks a write
    or a denial, whose entries have to be on the disk.
    """

    lane: Lane
    drafts: tuple[Draft | None, ...] = ()
    forward: bytes | None = None
    answer: bytes | None = None
    flight: Flight | None = None
    is_bound: bool = False
    is_weighty: bool = False


def turn_back(passage: Passage, tell: Callable[[Frame], bytes | None]) -> None:
    """Answer a request whose entry could not be written, unless it was answered or cancelled meanwhile.

    `tell` returns the answer, None where nobody waits for it.
    """
    flight = passage.flight
    if flight and (passage.forward is None or passage.lane.land(flight.frame.id)) and (told := tell(flight.frame)):
        passage.lane.answer(told)


def carry_out(passage: Passage) -> None:
    """Let a frame, and the answer to one, take its way."""
    if passage.forward is not None:
        passage.lane.forward(passage.forward)
    if passage.answer is not None:
        passage.lane.answer(passage.answer)


def status_of(frame: Frame) -> Status:
    """Return how the request ended that a response answers."""
    if "error" in frame.message:
        return Status.RPC_ERROR
    result: dict[str, object] | None = frame.message["result"]  # or anything else: it is what a peer has sent
    has_failed = isinstance(result, dict) and result.get("isError") is True
    return Status.TOOL_ERROR if has_failed else Status.OK


def refusal(frame: Frame, text: str, code: int) -> bytes:
    """Return the answer to a request that is refused: of a call as a result, so that a model sees why."""
    if frame.method == "tools/call":
        return frames.tool_error(frame.id, text, is_modern=identity.is_modern(frame))
    return frames.error(frame.id, code, text)
