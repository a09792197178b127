"""What host and upstream have agreed on, so that an upstream that is started afresh can be brought to the same point.

The handshake of the revisions up to 2025-11-25 gives an upstream a state that its successor lacks: it is asked again,
in the host's own bytes. From 2026-07-28 on there is none.
"""

from __future__ import annotations

from typing import Any, Final, cast

from aegis_mcp import frame as frames
from aegis_mcp import identity
from aegis_mcp.frame import Frame, FrameId

UNSUPPORTED_VERSION: Final = -32022
"""The protocol's answer to a revision that is not spoken (MCP 2026-07-28, basic/versioning)."""

_MAX_KEPT: Final = 16 * 1024
_MAX_SUBSCRIPTIONS: Final = 256
_REMEMBERED: Final = frozenset({"initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"})
_LISTS: Final = ("tools", "prompts", "resources")


class Handshake:
    """The agreement of one host with one upstream, read off the frames that pass."""

    def __init__(self) -> None:
        self.request: Frame | None = None
        self.held: Frame | None = None
        self._version: object = None
        self._initialized: bytes | None = None
        self._opening: str | None = None
        self._level: Frame | None = None
        self._subscribed: dict[str, Frame] = {}
        self._own: set[FrameId | None] = set()

    def upstream_started(self) -> None:
        """Note that a fresh upstream is there, of which nothing has been asked."""
        self._opening = None
        self.held = None

    def asked(self, frame: Frame) -> None:
        """Note a request of the host's that goes on to the upstream."""
        if self._opening is None:
            self._opening = frame.method

    def answered(self, request: Frame, answer: Frame) -> bytes | None:
        """Note an answer of the upstream's; return what goes to the host in its place, None for nothing."""
        if request.method not in _REMEMBERED:
            return answer.raw
        match request.method:
            case "initialize":
                return self._initialize_answered(request, answer)
            case "logging/setLevel" if "result" in answer.message:
                self._level = request
            case "resources/subscribe" if "result" in answer.message:
                self._subscribe(request)
            case "resources/unsubscribe":
                self._subscribed.pop(_uri(request), None)
            case _:
                pass
        return None if self.is_own(request) else answer.raw

    def is_own(self, request: Frame) -> bool:
        """Tell whether a request is one of `rest`: its answer is for nobody."""
        return request.id in self._own and request.method in _REMEMBERED

    def notified(self, frame: Frame) -> None:
        """Note a notification of the host's that goes on to the upstream."""
        if frame.method == "notifications/initialized":
            self._initialized = frame.raw

    def is_kept_by(self, answer: Frame) -> bool:
        """Tell whether a fresh upstream has answered the host's `initialize` so that the host need not know of it."""
        return "result" in answer.message and _members(answer.message["result"]).get("protocolVersion") == self._version

    def rest(self) -> list[bytes]:
        """Return what a fresh upstream is sent once it has answered `initialize`: what the host had sent after that."""
        return ([self._initialized] if self._initialized else []) + self.standing()

    def standing(self) -> list[bytes]:
        """Return what the host has asked for good: how much is logged, and what it has subscribed to.

        The requests bear ids of their own, since the host may use its own ones again.
        """
        again = ([self._level] if self._level else []) + [*self._subscribed.values()]
        ids = [f"aegis-replay-{number}" for number in range(len(again))]
        self._own |= {*ids}
        return [frames.dump({**frame.message, "id": own}) for frame, own in zip(again, ids, strict=True)]

    def _initialize_answered(self, request: Frame, answer: Frame) -> bytes | None:
        is_locked = _code(answer) == UNSUPPORTED_VERSION and self._opening != "initialize"
        # With the envelope of the later revisions it is one of their requests, and the answer is meant as it is.
        if is_locked and not identity.is_modern(request):
            # It has locked itself to the revision of a request before this one (the SDK's servers do): a fresh one has
            # not, and the host need not know.
            self.held = request
            return None
        result = _members(answer.message.get("result"))
        if not result:
            return answer.raw
        self.request, self._version = request, result.get("protocolVersion")
        self._initialized, self._level = None, None
        self._subscribed.clear()
        return _promising_changes(answer, _members(result.get("capabilities")))

    def _subscribe(self, request: Frame) -> None:
        if len(request.raw) <= _MAX_KEPT and len(self._subscribed) < _MAX_SUBSCRIPTIONS:
            self._subscribed[_uri(request)] = request


def _promising_changes(answer: Frame, capabilities: dict[str, Any]) -> bytes:
    """Return an answer to `initialize` in which every list may change: policy, pins and restarts change them.

    Hosts do not look at a `list_changed` that was not promised.
    """
    lists = [_members(capabilities[name]) for name in _LISTS if isinstance(capabilities.get(name), dict)]
    unpromised = [capability for capability in lists if capability.get("listChanged") is not True]
    for capability in unpromised:
        capability["listChanged"] = True
    return frames.dump(answer.message) if unpromised else answer.raw


def _uri(request: Frame) -> str:
    """Return what is subscribed to; an upstream may answer even a request that names nothing."""
    uri: object = request.params.get("uri")
    return uri if isinstance(uri, str) else ""


def _code(answer: Frame) -> object:
    return _members(answer.message.get("error")).get("code")


def _members(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
