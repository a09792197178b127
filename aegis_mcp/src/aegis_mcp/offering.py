"""What of a server's lists the host gets: all that may be used, and nothing that would be refused anyway.

Left out is what policy denies whatever the arguments are, and what is quarantined because it differs from what is
pinned. A list of which nothing is left out stays as it came, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from aegis_audit.value import Value
from aegis_mcp import frame as frames
from aegis_mcp import identity
from aegis_mcp.decision import Request
from aegis_mcp.frame import Frame
from aegis_mcp.pins.book import MAX_DEFINITIONS
from aegis_mcp.pins.definition import Kind
from aegis_mcp.pins.quarantine import Change, Pins
from aegis_mcp.policy.evaluation import is_hopeless
from aegis_mcp.policy.model import Policy
from aegis_mcp.upstream.catalog import read_only_hint

Item = Mapping[str, Any]


class _List(Value):
    """A list of the protocol: the member that holds it, what names an item, and how an item is asked for.

    `subject` is the word of a request for it, empty where a request stands for any; `kind` is None for what is not
    pinned.
    """

    member: str
    name: str
    method: str
    subject: str
    kind: Kind | None = None


_LISTS: Final = {
    "tools/list": _List("tools", "name", "tools/call", "tool", Kind.TOOL),
    "prompts/list": _List("prompts", "name", "prompts/get", "prompt", Kind.PROMPT),
    "resources/list": _List("resources", "uri", "resources/read", "uri"),
    "resources/templates/list": _List("resourceTemplates", "uriTemplate", "resources/read", ""),
}
_INTRODUCTIONS: Final = frozenset({"initialize", "server/discover"})
INSPECTED: Final = frozenset({*_LISTS, *_INTRODUCTIONS})
"""The methods whose results hold definitions."""

_PINNED: Final = {"tools/call": Kind.TOOL, "prompts/get": Kind.PROMPT, "completion/complete": Kind.PROMPT}
_FAMILIES: Final = {Kind.TOOL: "tools", Kind.PROMPT: "prompts"}
_SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"


class Offering:
    """What one server offers to one host.

    `pins` is None where every definition is trusted; the lock file is the one beside `policy_file`.
    """

    def __init__(self, server: str, pins: Pins | None, policy_file: str) -> None:
        self._server = server
        self._pins = pins
        self._policy_file = policy_file
        self._families: frozenset[str] = frozenset()
        self._withheld: set[tuple[Kind, str]] = set()
        self._revision = 0
        self._is_whole: dict[Kind, bool] = {}

    def trust(self, pins: Pins | None) -> None:
        """Go by these pins from now on."""
        self._pins = pins

    def restrict(self, policy: Policy, request: Frame, answer: Frame) -> tuple[Frame, list[Change]]:
        """Return the answer to a request for definitions as the host gets it, and what has changed in them."""
        result: object = answer.message.get("result")
        if not isinstance(result, dict):
            return answer, []
        members = cast("dict[str, Any]", result)
        if request.method in _INTRODUCTIONS:
            return self._introduce(answer, members)
        return self._restrict_list(policy, request, answer, members)

    def quarantined(self, request: Request) -> str | None:
        """Say why what is asked for may not be used, None if it may."""
        kind = _PINNED.get(request.method)
        name = request.prompt if request.tool is None else request.tool
        if self._pins is None or kind is None or name is None:
            return None
        change = self._pins.quarantined(kind, name)
        return self._explain(change) if change else None

    def outdated(self) -> set[str]:
        """Return the families of which a person has approved since what was left out, or replaced what was not.

        Each time once.
        """
        if self._pins is None or (revision := self._pins.revision()) == self._revision:
            return set()
        self._revision = revision
        free = {key for key in self._withheld if not self._quarantine(*key)}
        self._withheld -= free
        return {_FAMILIES[kind] for kind, _ in free | self._pins.superseded() if kind in _FAMILIES}

    def announcements(self, families: Iterable[str], listening: Iterable[Frame], *, is_modern: bool) -> Iterator[bytes]:
        """Yield what tells the host that lists may have changed: in the modern era to each request that listens."""
        for family in sorted(self._families.intersection(families)):
            method = f"notifications/{family}/list_changed"
            if not is_modern:
                yield frames.notification(method, {})
                continue
            for request in listening:
                if _listens(request, family):
                    yield frames.notification(method, {"_meta": {_SUBSCRIPTION: request.id}})

    def _introduce(self, answer: Frame, members: dict[str, Any]) -> tuple[Frame, list[Change]]:
        """Take what a server says of itself; instructions that are not trusted do not reach the host."""
        capabilities = members.get("capabilities")
        self._families = frozenset(cast("dict[str, Any]", capabilities) if isinstance(capabilities, dict) else ())
        if self._pins is None:
            return answer, []
        members = _without_doubles(members, "instructions")
        said = {"instructions": members["instructions"]} if "instructions" in members else {}
        changes = self._pins.look(Kind.SERVER, {"": said}, is_complete=True)
        if said and self._quarantine(Kind.SERVER, ""):
            del members["instructions"]
        return _with_result(answer, members), changes

    def _restrict_list(
        self, policy: Policy, request: Frame, answer: Frame, members: dict[str, Any]
    ) -> tuple[Frame, list[Change]]:
        listing = _LISTS[request.method]
        members = _without_doubles(members, listing.member)
        listed: object = members.get(listing.member)
        if not isinstance(listed, list):
            return _with_result(answer, members), []
        items = cast("list[Any]", listed)
        changes = self._look(listing.kind, items, request, members) if listing.kind and self._pins else []
        ambiguous = _ambiguous(items, listing.name)
        left = [item for item in items if self._may_be_used(policy, listing, item, ambiguous)]
        if len(left) == len(items):
            return _with_result(answer, members), changes
        # Who may use what is this host's own affair: no cache may give the list to another.
        scope = {"cacheScope": "private"} if identity.is_modern(request) or "cacheScope" in members else {}
        return _with_result(answer, {**members, listing.member: left, **scope}), changes

    def _look(self, kind: Kind, items: list[Any], request: Frame, members: Item) -> list[Change]:
        """Hold the definitions of one page against their pins."""
        assert self._pins  # noqa: S101 - asked before
        is_first, is_last = request.params.get("cursor") is None, members.get("nextCursor") is None
        self._is_whole[kind] = is_first or self._is_whole.get(kind, False)
        *earlier, last = _rounds(items)
        changes = [change for one in earlier for change in self._pins.look(kind, one, is_complete=False)]
        return changes + self._pins.look(kind, last, is_complete=is_last and self._is_whole[kind])

    def _may_be_used(self, policy: Policy, listing: _List, item: Any, ambiguous: set[str]) -> bool:
        members = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
        name: object = members.get(listing.name)
        if not isinstance(name, str):
            # Nothing that could be pinned, nor asked for: but a model may read it all the same.
            return not (listing.kind and self._pins)
        if listing.kind and self._pins and (name in ambiguous or self._withhold(listing.kind, name)):
            return False
        request = Request(
            self._server,
            listing.method,
            tool=name if listing.subject == "tool" else None,
            uri=name if listing.subject == "uri" else None,
            prompt=name if listing.subject == "prompt" else None,
            read_only_hint=read_only_hint(members) if listing.subject == "tool" else None,
        )
        return not is_hopeless(policy, request)

    def _withhold(self, kind: Kind, name: str) -> bool:
        """Tell whether a definition is quarantined, and remember it until a person approves it."""
        if not self._quarantine(kind, name):
            return False
        if len(self._withheld) < MAX_DEFINITIONS:
            self._withheld.add((kind, name))
        return True

    def _quarantine(self, kind: Kind, name: str) -> Change | None:
        return self._pins.quarantined(kind, name) if self._pins else None

    def _explain(self, change: Change) -> str:
        """Say what has changed, and the commands that show it and that resolve it."""
        import shlex  # noqa: PLC0415 - only a change needs it

        what = f"{change.kind.value} {_shown(change.name)}"
        whys = {"changed": "has changed since it was trusted", "unwritable": "cannot be pinned"}
        why = whys.get(change.why, "is not among what was trusted")
        command = shlex.join(["--policy", self._policy_file, "--server", self._server])
        digest = f"`aegis-mcp pins approve {command} --sha256 {change.offered_sha256}` trusts it"
        resolve = f"; `aegis-mcp pins diff {command}` shows it, {digest}" if change.offered_sha256 else ""
        return f"the definition of the {what} {why} ({'; '.join(change.difference)}){resolve}"


def _without_doubles(members: Item, name: str) -> dict[str, Any]:
    """Return members without those that are this one to a host that does not look at case."""
    return {one: value for one, value in members.items() if one == name or one.casefold() != name.casefold()}


def _with_result(answer: Frame, result: Item) -> Frame:
    """Return an answer with this result, as it came if nothing is missing."""
    if result == answer.message["result"]:
        return answer
    message = {**answer.message, "result": result}
    return answer._replace(raw=frames.dump(message), message=message)


def _named(items: list[Any], member: str) -> Iterator[tuple[str, Item]]:
    for item in items:
        if isinstance(item, dict) and isinstance(name := cast("dict[str, Any]", item).get(member), str):
            yield name, cast("dict[str, Any]", item)


def _rounds(items: list[Any]) -> list[dict[str, Item]]:
    """Return the definitions by name, in as many rounds as one name is defined: each of them counts."""
    rounds: list[dict[str, Item]] = [{}]
    for name, item in _named(items, "name"):
        if name in rounds[-1]:
            rounds.append({})
        rounds[-1][name] = item
    return rounds


def _ambiguous(items: list[Any], member: str) -> set[str]:
    """Return the names that a list defines more than once, and not alike: nobody knows which of them a host takes."""
    first: dict[str, Item] = {}
    again = [(name, item) for name, item in _named(items, member) if first.setdefault(name, item) is not item]
    return {name for name, item in again if _spelling(item) != _spelling(first[name])}


def _spelling(item: Item) -> str:
    return json.dumps(item, sort_keys=True)


def _listens(request: Frame, family: str) -> bool:
    wanted: object = request.params.get("notifications")
    return isinstance(wanted, dict) and cast("dict[str, Any]", wanted).get(f"{family}ListChanged") is True


def _shown(name: str) -> str:
    return repr(name if len(name) <= 100 else f"{name[:100]}…")
