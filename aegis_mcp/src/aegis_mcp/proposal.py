"""A policy to begin with, as text with a reason in every line: reads pass, writes do not.

What comes later is a write. Whatever a server calls its tools, the text is a policy that loads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from aegis_audit.escape import escape
from aegis_mcp.decision import Access
from aegis_mcp.policy.model import literal
from aegis_mcp.suggestion import Server, Suggestion, Tool, suggest

MAX_NAMED: Final = 200
"""Tools that are named one by one; more would make no file that a person reads, and the rest are writes."""

MAX_RULES: Final = 50
"""Rules that are proposed in comments."""

MAX_SERVERS: Final = 50
"""Servers of one proposal."""

_MAX_NAME: Final = 128
_MAX_SHOWN: Final = 60
_MAX_LISTED: Final = 8
_SERVER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_HEAD: Final = """\
# A proposal, made from {source}.
#
# Read it before you use it. What is a read here is one because the server says so, or because of its name, and neither
# proves anything. What was unclear is a write. Move what you know better, then check and try the file:
#   aegis-mcp policy check --policy FILE
#   aegis-mcp policy explain --policy FILE --server NAME --tool NAME
version: 1

# What happens where no rule speaks: allow, deny, ask (a person), or monitor (allow, and record it).
defaults:
  read: allow
  write: deny
  client_request: deny  # what a server asks of the host: sampling, elicitation, roots

upstreams:
"""
_RULES: Final = """\
# What would let single writes through: uncomment what you mean, and narrow it. The first rule that applies decides.
# rules:
"""


def has_name(server: Server) -> bool:
    """Tell whether a policy can hold the name of a server."""
    return _SERVER.fullmatch(server.name) is not None


def address(url: str | None, *, logs_in: bool) -> list[str]:
    """Return the lines that say in a policy where a server is; none for one that is not remote."""
    if url is None:
        return []
    # Who sees the proposal need not see the secrets of who asked for it.
    where = "# url: its query may hold a secret, and is yours to write" if "?" in url else f"url: {_quoted(url)}"
    return [where, "auth: oauth"] if logs_in else [where]


def render(servers: Sequence[Server], source: str, address: Sequence[str] = ()) -> str:
    """Return the text of a policy; at least one server has a name that it can hold.

    `source` says where what is known of the servers comes from, `address` where the only one is.
    """
    known = [server for server in servers if has_name(server)][:MAX_SERVERS]
    named = _named(known)
    sections = ["\n".join(_section(server, named, address)) for server in known]
    left = [server for server in servers if not has_name(server)][:MAX_SERVERS]
    sections += [f"  # {_comment(server.name)}: a policy cannot hold this name of a server" for server in left]
    rules = [_rule(server, one.tool) for server in known for one in named[server.name] if one.access is Access.WRITE]
    proposed = [_RULES + "\n".join(rules[:MAX_RULES])] if rules else []
    return _HEAD.format(source=_comment(source)) + "\n\n".join([*sections, *proposed]) + "\n"


def _named(servers: Sequence[Server]) -> dict[str, list[Suggestion]]:
    """Return the tools that are named one by one: those of all servers that a policy can name, reads before writes."""
    every = [(server.name, one) for server in servers for one in suggest(server) if _is_nameable(one.tool.name)]
    named: dict[str, list[Suggestion]] = {server.name: [] for server in servers}
    for server, one in sorted(every, key=lambda pair: pair[1].access is Access.WRITE)[:MAX_NAMED]:
        named[server].append(one)
    return named


def _section(server: Server, named: Mapping[str, Sequence[Suggestion]], address: Sequence[str]) -> Iterator[str]:
    reads = [one for one in named[server.name] if one.access is Access.READ]
    writes = [one for one in named[server.name] if one.access is not Access.READ]
    yield f"  {server.name}:"
    yield from (f"    {line}" for line in address)
    yield from _others(server)
    yield "    access:"
    if reads:
        yield "      read:"
        yield from map(_item, reads)
    yield "      write:"
    yield from map(_item, writes)
    if left := len({tool.name for tool in server.tools}) - len(reads) - len(writes):
        yield f"        # and {left} more, which are too many, or have names that a policy cannot hold"
    yield '        - "*"  # what is not named above, and what comes later'


def _item(one: Suggestion) -> str:
    calls = f", seen {one.tool.calls} times" if one.tool.calls > 1 else ""
    return f"        - {_quoted(literal(one.tool.name))}  # {one.why}{calls}"


def _others(server: Server) -> Iterator[str]:
    if server.resources:
        schemes = dict.fromkeys(uri.partition(":")[0] for uri in server.resources)
        yield f"    # {len(server.resources)} resources ({_listed(schemes)}): asking for one is a read"
    if server.prompts:
        yield f"    # {len(server.prompts)} prompts ({_listed(server.prompts)}): asking for one is a read"


def _rule(server: Server, tool: Tool) -> str:
    rule_id = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{server.name}-{tool.name}")[:64]
    match = f"server: {server.name}, tool: {_quoted(literal(tool.name))}"
    if not tool.places:
        return f"#   - {{id: {rule_id}, match: {{{match}}}, effect: ask}}"
    within = ", ".join(f"{_quoted(place)}: {{within: [~/work]}}" for place in tool.places)
    return f"#   - {{id: {rule_id}, match: {{{match}, arguments: {{{within}}}}}, effect: allow}}"


def _is_nameable(name: str) -> bool:
    return 0 < len(name) <= _MAX_NAME and name.isprintable()


def _quoted(text: str) -> str:
    """Return a printable text as YAML and JSON both quote it."""
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    """Return a text that somebody else chose as it can stand in a comment: on one line, and not for ever."""
    return escape(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


def _listed(names: Iterable[str]) -> str:
    every = [*names]
    more = ", …" if len(every) > _MAX_LISTED else ""
    return ", ".join(_comment(name) for name in every[:_MAX_LISTED]) + more
