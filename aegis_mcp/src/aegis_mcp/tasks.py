"""Which call a task belongs to, so that what goes on with it is judged as that call (MCP, tasks).

A task may outlive the gateway that has seen it made; then nobody knows its call, and to go on with it is a write.
"""

from __future__ import annotations

from typing import Any, Final, cast

from aegis_audit.value import Value
from aegis_mcp.decision import Request, Secrets
from aegis_mcp.frame import Frame
from aegis_mcp.lane import Flight

MAX_TASKS: Final = 1024
"""How many tasks are known; the oldest is forgotten first."""

MAX_CALL: Final = 64 * 1024
"""Bytes of the largest call whose task is known."""

_CONTINUING: Final = frozenset({"tasks/update", "tasks/cancel"})
_RESULTS: Final = _CONTINUING | {"tasks/get", "tasks/result"}


class _Call(Value):
    request: Request
    secrets: Secrets | None


class Tasks:
    """The tasks that one upstream has made of calls."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}

    def notice(self, flight: Flight, result: object) -> None:
        """Remember the call of a task, if this result says that one was made."""
        if flight.frame.method != "tools/call" or not isinstance(result, dict):
            return
        task_id = _task_id(cast("dict[str, Any]", result))
        if task_id is None or flight.asked is None or len(flight.frame.raw) > MAX_CALL:
            return
        self._calls[task_id] = _Call(flight.asked.request, flight.secrets)
        if len(self._calls) > MAX_TASKS:
            del self._calls[next(iter(self._calls))]

    def request_of(self, frame: Frame, request: Request) -> Request:
        """Return a request as what it is to policy: one that goes on with a task has the tool and the arguments."""
        call = self._call(frame) if request.method in _CONTINUING else None
        return request._replace(tool=call.request.tool, arguments=call.request.arguments) if call else request

    def secrets_of(self, frame: Frame) -> Secrets | None:
        """Return what happens to credentials in the result of a task, as the rule of its call has it."""
        call = self._call(frame) if frame.method in _RESULTS else None
        return call.secrets if call else None

    def _call(self, frame: Frame) -> _Call | None:
        task_id: object = frame.params.get("taskId")
        return self._calls.get(task_id) if isinstance(task_id, str) else None


def _task_id(result: dict[str, Any]) -> str | None:
    """Return the task that a result has made: in a member of its own (2025-11-25), or as the result itself."""
    made: object = result.get("task", result if result.get("resultType") == "task" else None)
    task_id = cast("dict[str, Any]", made).get("taskId") if isinstance(made, dict) else None
    return task_id if isinstance(task_id, str) else None
