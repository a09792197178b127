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
_CLIENT_REQUESTS: Final = frozenset({"sampling/createMessage", "elicitation/create", "roots/list"})


def classify(method: str) -> MethodClass:
    """Return the class of a request's method as a host or, for the client requests, an upstream sends it.

    Whatever no revision names is `UNKNOWN`, and policy treats it as a write.
    """
    if method == "tools/call":
        return MethodClass.TOOL_CALL
    if method in _HOUSEKEEPING or method.startswith("notifications/"):
        return MethodClass.HOUSEKEEPING
    if method in _READ:
        return MethodClass.READ
    if method in _CLIENT_REQUESTS:
        return MethodClass.CLIENT_REQUEST
    return MethodClass.UNKNOWN
