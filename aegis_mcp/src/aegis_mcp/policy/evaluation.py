"""What policy says to a request: a pure, total function.

The first rule that applies decides; where none does, the default for the request's access. What nobody classifies is a
write; a tool that the upstream does not list is denied whatever the rules say, and so is what a rule fails to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aegis_mcp.decision import Access, AccessFrom, Decision, Effect, Request
from aegis_mcp.method import MethodClass, classify
from aegis_mcp.policy.matching import applies, is_about
from aegis_mcp.policy.model import Policy, Rule, Upstream

MAX_REMEMBERED: Final = 256
"""Characters of the longest tool or method for which the rules are remembered: peers choose these names."""
_MAX_SHOWN: Final = 100
_NOUNS: Final = {
    Access.READ: "reads",
    Access.WRITE: "writes",
    Access.CLIENT_REQUEST: "requests of an upstream to the host",
}


@dataclass(frozen=True, slots=True)
class _Prospect:
    """What is certain of a request before its arguments, URI and prompt are looked at; the rules that may speak."""

    kind: MethodClass
    access: Access
    access_from: AccessFrom
    rules: tuple[Rule, ...]


def decide(policy: Policy, request: Request) -> Decision:
    """Return the decision on a request.

    Only a `within` matcher looks beyond its arguments: at the file system, to resolve a path. The reason is for a
    person, says what would change the decision, and never quotes an argument.
    """
    prospect = _prospect_of(policy, request)
    access, access_from = prospect.access, prospect.access_from
    if not request.is_listed:
        reason = f"the upstream {request.server!r} does not list a tool {_shown(request.tool)}"
        return Decision(Effect.DENY, "unlisted-tool", reason, access, access_from)
    for rule in prospect.rules:
        try:
            is_deciding = applies(rule, request)
        except Exception as exc:  # noqa: BLE001 - whatever it is, a rule that fails must not be a way past it
            reason = f"the rule {rule.id!r} could not be evaluated ({type(exc).__name__})"
            return Decision(Effect.DENY, rule.id, reason, access, access_from)
        if is_deciding:
            return Decision(rule.effect, rule.id, _reason_of(policy, rule), access, access_from)
    if prospect.kind is MethodClass.HOUSEKEEPING:
        return Decision(Effect.ALLOW, "housekeeping", "keeps the session", access, access_from, is_recorded=False)
    reason = _reason_of_default(policy, request, access, access_from)
    return Decision(policy.defaults.effect(access), f"defaults.{access.value}", reason, access, access_from)


def _prospect_of(policy: Policy, request: Request) -> _Prospect:
    is_short = len(request.method) + len(request.tool or "") <= MAX_REMEMBERED
    find = _find_prospect if is_short else _find_prospect.__wrapped__
    key = (request.server, request.method, request.tool, request.read_only_hint, request.is_from_upstream)
    return find(policy, *key)


@lru_cache(maxsize=4096)
def _find_prospect(
    policy: Policy, server: str, method: str, tool: str | None, hint: bool | None, is_from_upstream: bool
) -> _Prospect:
    kind = classify(method, is_from_upstream=is_from_upstream)
    access, access_from = _access(kind, policy.upstream(server), tool or "", hint)
    # Housekeeping keeps a session alive: only a rule that names methods means it.
    spoken = policy.rules if kind is not MethodClass.HOUSEKEEPING else [r for r in policy.rules if r.match.method]
    rules = tuple(rule for rule in spoken if is_about(rule.match, server, method, tool, access))
    return _Prospect(kind, access, access_from, rules)


def _access(kind: MethodClass, upstream: Upstream, tool: str, hint: bool | None) -> tuple[Access, AccessFrom]:
    match kind:
        case MethodClass.TOOL_CALL:
            return _access_of_tool(upstream, tool, hint)
        case MethodClass.READ | MethodClass.HOUSEKEEPING:
            return Access.READ, AccessFrom.DEFAULT
        case MethodClass.CLIENT_REQUEST:
            return Access.CLIENT_REQUEST, AccessFrom.DEFAULT
        case MethodClass.UNKNOWN:
            return Access.WRITE, AccessFrom.DEFAULT


def _access_of_tool(upstream: Upstream, tool: str, hint: bool | None) -> tuple[Access, AccessFrom]:
    for classification in upstream.access:
        if any(glob.matches(tool) for glob in classification.tools):
            return classification.access, AccessFrom.POLICY
    if upstream.trust_annotations and hint is not None:
        return Access.READ if hint else Access.WRITE, AccessFrom.ANNOTATION
    return Access.WRITE, AccessFrom.DEFAULT


def _reason_of(policy: Policy, rule: Rule) -> str:
    verb = "allows" if rule.effect is Effect.ALLOW else "denies"
    return rule.reason or f"the rule {rule.id!r} in line {rule.line} of {policy.source} {verb} it"


def _reason_of_default(policy: Policy, request: Request, access: Access, access_from: AccessFrom) -> str:
    if policy.defaults.effect(access) is Effect.ALLOW:
        return f"{_NOUNS[access]} are allowed unless a rule denies them"
    subject = f"tool {_shown(request.tool)}" if request.tool else f"method {_shown(request.method)}"
    remedy = f"a rule for {subject} of server {request.server!r} in {policy.editable} would allow it"
    denied = f"{_NOUNS[access]} are denied unless a rule allows them; {remedy}"
    if request.tool and access is Access.WRITE and access_from is AccessFrom.DEFAULT:
        return f"nothing classifies this tool, so it counts as a write; {denied}, and so would `access` if it is a read"
    return denied


def _shown(name: str | None) -> str:
    """Return a name that a peer chose as it can be shown: printable, and not longer than a line."""
    return repr(name if name is None or len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}…")
