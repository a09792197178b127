"""What policy says to a request: a pure, total function.

The first rule that applies decides; where none does, the default for the request's access. What nobody classifies is a
write, and a tool that the upstream does not list is denied whatever the rules say.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from aegis_mcp.decision import Access, AccessFrom, Decision, Effect, Request
from aegis_mcp.method import MethodClass, classify
from aegis_mcp.policy.matching import applies, is_about
from aegis_mcp.policy.model import Policy, Rule

_NOUNS: Final = {
    Access.READ: "reads",
    Access.WRITE: "writes",
    Access.CLIENT_REQUEST: "requests of an upstream to the host",
}


def decide(policy: Policy, request: Request) -> Decision:
    """Return the decision on a request.

    Only a `within` matcher looks beyond its arguments: at the file system, to resolve a path.
    """
    kind = classify(request.method, is_from_upstream=request.is_from_upstream)
    access, access_from = _access(policy, request, kind)
    if not request.is_listed:
        reason = f"the upstream {request.server!r} does not list a tool {request.tool!r}"
        return Decision(Effect.DENY, "unlisted-tool", reason, access, access_from)
    is_housekeeping = kind is MethodClass.HOUSEKEEPING
    for rule in _candidates(policy, request.server, request.method, request.tool, access):
        # Housekeeping keeps a session alive: only a rule that names methods means it.
        if (rule.match.method or not is_housekeeping) and applies(rule, request):
            return Decision(rule.effect, rule.id, _reason_of(rule), access, access_from)
    if is_housekeeping:
        return Decision(Effect.ALLOW, "housekeeping", "keeps the session", access, access_from, is_recorded=False)
    effect = policy.defaults.effect(access)
    return Decision(
        effect, f"defaults.{access.value}", _reason_of_default(policy, request, access), access, access_from
    )


def _access(policy: Policy, request: Request, kind: MethodClass) -> tuple[Access, AccessFrom]:
    match kind:
        case MethodClass.TOOL_CALL:
            return _access_of_tool(policy, request)
        case MethodClass.READ | MethodClass.HOUSEKEEPING:
            return Access.READ, AccessFrom.DEFAULT
        case MethodClass.CLIENT_REQUEST:
            return Access.CLIENT_REQUEST, AccessFrom.DEFAULT
        case MethodClass.UNKNOWN:
            return Access.WRITE, AccessFrom.DEFAULT


def _access_of_tool(policy: Policy, request: Request) -> tuple[Access, AccessFrom]:
    tool = request.tool or ""
    upstream = policy.upstream(request.server)
    for classification in upstream.access:
        if any(glob.matches(tool) for glob in classification.tools):
            return classification.access, AccessFrom.POLICY
    if upstream.trust_annotations and request.read_only_hint is not None:
        return Access.READ if request.read_only_hint else Access.WRITE, AccessFrom.ANNOTATION
    return Access.WRITE, AccessFrom.DEFAULT


@lru_cache(maxsize=4096)
def _candidates(policy: Policy, server: str, method: str, tool: str | None, access: Access) -> tuple[Rule, ...]:
    """Return the rules that can speak about such requests, in order."""
    return tuple(rule for rule in policy.rules if is_about(rule.match, server, method, tool, access))


def _reason_of(rule: Rule) -> str:
    return rule.reason or f"the rule {rule.id!r} says {rule.effect.value}"


def _reason_of_default(policy: Policy, request: Request, access: Access) -> str:
    if policy.defaults.effect(access) is Effect.ALLOW:
        return f"{_NOUNS[access]} are allowed unless a rule denies them"
    subject = f"tool {request.tool!r}" if request.tool else f"method {request.method!r}"
    remedy = f"a rule for {subject} of server {request.server!r} in {policy.editable} would allow it"
    return f"{_NOUNS[access]} are denied unless a rule allows them; {remedy}"
