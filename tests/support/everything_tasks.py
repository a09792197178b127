"""Tasks as the extension to revision 2026-07-28 has them, for the tools that the conformance suite calls.

Nothing takes time here: a task is created in the state in which it stays until a client updates or cancels it, so that
two runs of the suite see the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from support import everything_answers as answers
from support.everything_answers import Json

Context = ServerRequestContext[Any, Any]

EXTENSION: Final = "io.modelcontextprotocol/tasks"
_DONE: Final = "completed"
_LONG_SECONDS: Final = 10


class TaskParams(types.RequestParams):
    """The parameters of a request about a task."""

    task_id: str


@dataclass(slots=True)
class _Task:
    """One task: what it waits for, or how it ended."""

    status: str
    ending: Json = field(default_factory=dict[str, Any])
    pending: Json = field(default_factory=dict[str, Any])
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def described(self) -> Json:
        """Return what is said of a task in every answer about it."""
        times = {"createdAt": self.created, "lastUpdatedAt": self.created, "ttlMs": 600_000, "pollIntervalMs": 100}
        return {"taskId": self.id, "status": self.status, **times}


_tasks: Final[dict[str, _Task]] = {}


def has_declared(ctx: Context) -> bool:
    """Tell whether the client of a request takes tasks."""
    declared = ctx.session.client_capabilities
    return bool(declared and declared.extensions and EXTENSION in declared.extensions)


def completed(text: str, *, is_error: bool = False) -> Json:
    """Create a task that has ended, and return what a client gets to know it by."""
    result = {"content": [answers.text(text)], "isError": is_error}
    return _create(_Task(_DONE, {"result": {**result, "resultType": "complete"}}))


def call(ctx: Context, name: str, arguments: Json) -> Json:
    """Call a tool that makes a task of itself if the client takes tasks."""
    if has_declared(ctx):
        return TOOLS[name](arguments)
    if name == "slow_compute":
        return {"content": [answers.text("computed at once")]}
    raise _undeclared()


async def get(ctx: Context, params: TaskParams) -> Json:
    """Answer `tasks/get`."""
    task = _find(ctx, params)
    waiting = {"inputRequests": task.pending} if task.pending else {}
    return {"resultType": "complete", **task.described(), **task.ending, **waiting}


async def update(ctx: Context, params: TaskParams) -> Json:
    """Answer `tasks/update`: a task goes on once it has everything it waits for."""
    task = _find(ctx, params)
    for name in (ctx.params or {}).get("inputResponses", {}):
        task.pending.pop(name, None)
    if task.status == "input_required" and not task.pending:
        task.status, task.ending = _DONE, {"result": {"content": [answers.text("answered")], "resultType": "complete"}}
    return {}


async def cancel(ctx: Context, params: TaskParams) -> Json:
    """Answer `tasks/cancel`."""
    task = _find(ctx, params)
    if not task.ending:
        task.status, task.pending = "cancelled", {}
    return {}


def _find(ctx: Context, params: TaskParams) -> _Task:
    if not has_declared(ctx):
        raise _undeclared()
    if params.task_id not in _tasks:
        raise MCPError(types.INVALID_PARAMS, "Unknown task")
    return _tasks[params.task_id]


def _undeclared() -> MCPError:
    needed: Json = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    return MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "This needs the tasks extension", needed)


def _create(task: _Task) -> Json:
    _tasks[task.id] = task
    return {"resultType": "task", **task.described()}


def _compute(arguments: Json) -> Json:
    is_long = arguments.get("seconds", 0) >= _LONG_SECONDS
    return _create(_Task("working")) if is_long else completed("computed")


def _ask(*names: str) -> Json:
    requests = {name: answers.elicitation(f"What about {name}?", answers.CONFIRMATION) for name in names}
    return _create(_Task("input_required", pending=requests))


TOOLS: Final[dict[str, Callable[[Json], Json]]] = {
    "slow_compute": _compute,
    "failing_job": lambda _: completed("this job fails", is_error=True),
    "protocol_error_job": lambda _: _create(
        _Task("failed", {"error": {"code": types.INTERNAL_ERROR, "message": "this job breaks"}})
    ),
    "confirm_delete": lambda _: _ask("confirmation"),
    "multi_input": lambda _: _ask("first", "second"),
}
"""The tools that make a task of themselves."""
