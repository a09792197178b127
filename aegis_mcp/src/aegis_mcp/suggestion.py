"""What the tools of a server seem to be, reads or writes, and why: for a person to review.

A tool is a read only where its annotations or its name say so and neither says otherwise;
what is unclear is a write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, cast

from aegis_mcp.decision import Access
from aegis_mcp.recorded import Recorded
from aegis_mcp.upstream.offer import MAX_ITEMS, Offer

MAX_SERVERS: Final = 1_000
"""Servers of one log that are looked at."""

_MAX_PLACES: Final = 4
_MAX_PLACE: Final = 32
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./: -]+")
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_READ_VERBS: Final = frozenset(
    {
        *("browse", "count", "describe", "find", "get", "list", "lookup", "peek", "read", "search", "show"),
        *("status", "view"),
    }
)
_WRITE_VERBS: Final = frozenset(
    {
        *("add", "append", "apply", "approve", "assign", "buy", "cancel", "checkout", "clean", "clear"),
        *("click", "clone", "commit", "copy", "create", "delete", "deploy", "destroy", "disable", "download"),
        *("drop", "edit", "enable", "eval", "evaluate", "exec", "execute", "fork", "grant", "insert"),
        *("install", "invite", "invoke", "kill", "launch", "merge", "mkdir", "modify", "move", "mutate"),
        *("overwrite", "patch", "pay", "post", "press", "publish", "pull", "purge", "push", "put", "rebase"),
        *("reboot", "reject", "remove", "rename", "replace", "reply", "reset", "restart", "restore"),
        *("revert", "revoke", "rm", "rmdir", "run", "save", "send", "set", "shutdown", "spawn", "stash"),
        *("submit", "transfer", "trash", "truncate", "uninstall", "unset", "update", "upgrade", "upload"),
        *("upsert", "wipe", "write"),
    }
)
_PLACE: Final = re.compile(
    r"(?:.*[_-])?(?:path|paths|file|files|filename|filepath|dir|directory|folder|source|destination)"
)


@dataclass(frozen=True, slots=True)
class Tool:
    """What is known of a tool; a hint is None where the server says nothing. `calls` is how often a log has it."""

    name: str
    read_only: bool | None = None
    is_destructive: bool = False
    is_open: bool = False
    places: tuple[str, ...] = ()
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Server:
    """What a server offers, or was seen to."""

    name: str
    tools: tuple[Tool, ...]
    resources: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a tool seems to be, and why."""

    tool: Tool
    access: Access
    why: str


def offered(name: str, offer: Offer) -> Server:
    """Return what a server offers."""
    resources = [*(item.get("uri") for item in offer.resources), *(item.get("uriTemplate") for item in offer.templates)]
    prompts = (item.get("name") for item in offer.prompts)
    tools = (_tool(definition) for definition in offer.tools)
    return Server(
        name,
        tuple(tool for tool in tools if tool),
        tuple(uri for uri in resources if isinstance(uri, str)),
        tuple(prompt for prompt in prompts if isinstance(prompt, str)),
    )


def seen(requests: Iterable[Recorded], name: str | None) -> list[Server]:
    """Return what was asked of the servers in a log, or of one of them; a tool that was not listed does not count."""
    asked: dict[str, _Seen] = {}
    for recorded in requests:
        request = recorded.request
        is_meant = request.is_listed and name in {None, request.server} and not recorded.obscure & {"server", "tool"}
        if is_meant and (request.server in asked or len(asked) < MAX_SERVERS):
            asked.setdefault(request.server, _Seen()).take(recorded)
    return [one.server(server) for server, one in sorted(asked.items())]


class _Seen:
    """What was asked of one server, at most so much of each kind as an upstream may offer."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self._resources: dict[str, None] = {}
        self._prompts: dict[str, None] = {}

    def take(self, recorded: Recorded) -> None:
        request = recorded.request
        if request.tool is not None and (request.tool in self._tools or len(self._tools) < MAX_ITEMS):
            known = self._tools.get(request.tool, Tool(request.tool))
            hint = known.read_only if request.read_only_hint is None else request.read_only_hint
            places = _places(name for name, value in request.arguments.items() if isinstance(value, str))
            both = tuple(dict.fromkeys((*known.places, *places)))[:_MAX_PLACES]
            self._tools[request.tool] = replace(known, read_only=hint, places=both, calls=known.calls + 1)
        for name, names in ((request.uri, self._resources), (request.prompt, self._prompts)):
            if name is not None and len(names) < MAX_ITEMS:
                names[name] = None

    def server(self, name: str) -> Server:
        return Server(name, tuple(self._tools.values()), tuple(self._resources), tuple(self._prompts))


def suggest(server: Server) -> list[Suggestion]:
    """Return what the tools of a server seem to be; one that is listed twice is what is more careful."""
    prefix = _prefix(server)
    suggestions: dict[str, Suggestion] = {}
    for tool in server.tools:
        access, why = _judge(tool, prefix)
        if access is Access.WRITE or tool.name not in suggestions:
            suggestions[tool.name] = Suggestion(tool, access, why)
    return list(suggestions.values())


def _judge(tool: Tool, prefix: str) -> tuple[Access, str]:
    """Say what a tool seems to be, and why."""
    words = [word.lower() for word in _WORDS.findall(tool.name)]
    first = next((word for word in words[bool(prefix and words[:1] == [prefix]) :]), "")
    reading = first if first in _READ_VERBS else None
    writing = next((word for word in words if word in _WRITE_VERBS), None)
    if tool.read_only is False or tool.is_destructive:
        return Access.WRITE, "the server says that it changes something"
    if not _PLAIN.fullmatch(tool.name):
        return Access.WRITE, "unclear: its name has unusual characters"
    if tool.read_only:
        # `get_commit` gets; `commit` and `get_or_create` do not.
        is_doubtful = writing and (not reading or {"and", "or"} & {*words})
        return _judge_claim(tool, writing if is_doubtful else None)
    return _judge_name(reading, writing)


def _judge_claim(tool: Tool, writing: str | None) -> tuple[Access, str]:
    if writing:
        return Access.WRITE, f"unclear: the server says that it only reads, its name says {writing!r}"
    is_open = ", and that it reaches beyond the server" if tool.is_open else ""
    return Access.READ, f"the server says that it only reads{is_open}"


def _judge_name(reading: str | None, writing: str | None) -> tuple[Access, str]:
    if writing:
        return Access.WRITE, f"its name says {writing!r}"
    if reading:
        return Access.READ, f"its name says {reading!r}; the server says nothing"
    return Access.WRITE, "unclear: neither its name nor the server says that it only reads"


def _prefix(server: Server) -> str:
    """Return the word with which all tools of a server begin, as `git_log` and `git_show` do, "" if there is none."""
    firsts = {next(iter(_WORDS.findall(tool.name)), "").lower() for tool in server.tools}
    first = firsts.pop() if len(firsts) == 1 and len(server.tools) > 1 else ""
    return first if first not in _READ_VERBS | _WRITE_VERBS else ""


def _tool(definition: Mapping[str, Any]) -> Tool | None:
    name = definition.get("name")
    hints = _members(definition.get("annotations"))
    read_only = hints.get("readOnlyHint")
    schema = _members(definition.get("inputSchema"))
    return (
        Tool(
            name,
            read_only if isinstance(read_only, bool) else None,
            hints.get("destructiveHint") is True,
            hints.get("openWorldHint") is True,
            _places(_members(schema.get("properties"))),
        )
        if isinstance(name, str)
        else None
    )


def _places(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the names of arguments that seem to be paths."""
    found = (name for name in names if len(name) <= _MAX_PLACE and _PLACE.fullmatch(name.lower()))
    return tuple(islice(found, _MAX_PLACES))


def _members(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
