"""What a method of the protocol is worth to policy, in every revision up to 2026-07-28."""

from __future__ import annotations

from enum import Enum
from typing import Final


class MethodClass(Enum):
    """How policy treats a method."""

    HOUSEKEEPING = "housekeeping"
    TOOL_CALL = "tool_call"
    READ = "read"
    CLIENT_REQUEST = "client_request"
    CONTINUATION = "continuation"
    UNKNOWN = "unknown"


_HOUSEKEEPING: Final = frozenset(
    {
        "initialize",
        "server/discover",
        "ping",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "resources/subscribe",
        "resources/unsubscribe",
        "prompts/list",
        "tasks/list",
        "logging/setLevel",
        "subscriptions/listen",
    }
)
_READ: Final = frozenset({"resources/read", "prompts/get", "completion/complete", "tasks/get", "tasks/result"})
_CONTINUATIONS: Final = frozenset({"tasks/update", "tasks/cancel"})


def classify(method: str, *, is_from_upstream: bool = False, has_tool: bool = False) -> MethodClass:
    """Return the class of a request's method, which depends on who asks.

    Notifications are housekeeping. Of what an upstream asks only `ping` is; what only an upstream may ask is unknown
    from a host.
    What goes on with a task is a `CONTINUATION` of the call of a tool, where that call is known (`has_tool`).
    Whatever no revision names is `UNKNOWN`, and policy treats it as a write.
    """
    if method.startswith("notifications/"):
        return MethodClass.HOUSEKEEPING
    if is_from_upstream:
        return MethodClass.HOUSEKEEPING if method == "ping" else MethodClass.CLIENT_REQUEST
    if method == "tools/call":
        return MethodClass.TOOL_CALL
    if method in _HOUSEKEEPING:
        return MethodClass.HOUSEKEEPING
    if method in _CONTINUATIONS and has_tool:
        return MethodClass.CONTINUATION
    return MethodClass.READ if method in _READ else MethodClass.UNKNOWN
