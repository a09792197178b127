"""What policy says to a request: a pure, total function.

The first rule that applies decides; where none does, the default for the request's access. What nobody classifies is a
write; a tool that the upstream does not list is denied whatever the rules say, and so is what a rule fails to judge.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final

from aegis_audit.value import Value, replace
from aegis_mcp.decision import Access, AccessFrom, Decision, Effect, Request
from aegis_mcp.method import MethodClass, classify
from aegis_mcp.policy.matching import applies, is_about, may_apply
from aegis_mcp.policy.model import Policy, Rule, Upstream, literal

MAX_REMEMBERED: Final = 256
"""Characters of the longest tool or method for which the rules are remembered: peers choose these names."""
_MAX_SHOWN: Final = 100
_MAX_ID: Final = 58
_VERBS: Final = {
    Effect.ALLOW: "allows it",
    Effect.DENY: "denies it",
    Effect.ASK: "has a person asked",
    Effect.MONITOR: "lets it pass, and records that it would be denied",
}
_BY_DEFAULT: Final = {
    Effect.ALLOW: "are allowed unless a rule denies them",
    Effect.ASK: "need a person's consent unless a rule says otherwise",
    Effect.MONITOR: "pass, and are recorded as what would be denied, unless a rule says otherwise",
}
_NOUNS: Final = {
    Access.READ: "reads",
    Access.WRITE: "writes",
    Access.CLIENT_REQUEST: "requests of an upstream to the host",
}


class Prospect(Value):
    """What is certain of a request before its arguments, URI and prompt are looked at; the rules that may speak.

    `default` is the decision where none does, None if its reason depends on what is asked.
    """

    kind: MethodClass
    access: Access
    access_from: AccessFrom
    rules: tuple[Rule, ...]
    default: Decision | None


def decide(policy: Policy, request: Request) -> Decision:
    """Return the decision on a request.

    Only a `within` matcher looks beyond its arguments: at the file system, to resolve a path. The reason is for a
    person, says what would change the decision, and never quotes an argument.
    """
    prospect = prospect_of(policy, request)
    if not request.is_listed:
        reason = f"the upstream {request.server!r} does not list a tool {_shown(request.tool)}"
        return Decision(Effect.DENY, "unlisted-tool", reason, prospect.access, prospect.access_from)
    for rule in prospect.rules:
        decision = judge(policy, rule, request, prospect)
        if decision is not None:
            return decision
    return fall_back(policy, request, prospect)


def judge(policy: Policy, rule: Rule, request: Request, prospect: Prospect) -> Decision | None:
    """Return the decision of one of the rules that may speak, None if it leaves the request to those after it."""
    access, access_from = prospect.access, prospect.access_from
    try:
        truth = applies(rule.match, request)
    except Exception as exc:  # noqa: BLE001 - whatever it is, a rule that fails must not be a way past it
        reason = f"the rule {rule.id!r} could not be evaluated ({type(exc).__name__})"
        return Decision(Effect.DENY, rule.id, reason, access, access_from)
    if truth is None and rule.effect is Effect.ASK:
        reason = f"nobody can tell whether the rule {rule.id!r} {_place_of(policy, rule)} applies to these arguments"
        return Decision(Effect.DENY, rule.id, reason, access, access_from)
    if truth or (truth is None and rule.effect is Effect.DENY):
        return Decision(rule.effect, rule.id, _reason_of(policy, rule), access, access_from, secrets=rule.secrets)
    return None


def fall_back(policy: Policy, request: Request, prospect: Prospect) -> Decision:
    """Return the decision on a request for which no rule speaks."""
    if prospect.default:
        return prospect.default
    reason = _reason_to_deny(policy, request, prospect.access, prospect.access_from)
    return _by_default(Effect.DENY, reason, prospect.access, prospect.access_from)


def is_hopeless(policy: Policy, request: Request) -> bool:
    """Tell whether a request would be denied whatever its arguments are: then there is no use in offering it.

    A request for a resource without a URI stands for one with any.
    """
    for rule in prospect_of(policy, request).rules:
        truth = may_apply(rule.match, request)
        if truth is None and rule.effect is not Effect.DENY:
            return False
        if truth:
            return rule.effect is Effect.DENY
    return policy.defaults.effect(prospect_of(policy, request).access) is Effect.DENY


def limits_of(policy: Policy, request: Request, access: Access) -> list[int]:
    """Return the places, from 0, of the limits that speak about a request; one that nobody can judge counts."""
    return [
        place
        for place, limit in enumerate(policy.limits)
        if is_about(limit.match, request.server, request.method, request.tool, access)
        and applies(limit.match, request) is not False
    ]


def prospect_of(policy: Policy, request: Request) -> Prospect:
    """Return what is certain of a request before it is looked into."""
    is_short = len(request.method) + len(request.tool or "") <= MAX_REMEMBERED
    find = _find_prospect if is_short else _find_prospect.__wrapped__
    return find(policy, request.server, request.method, request.tool, request.read_only_hint, request.is_from_upstream)


@lru_cache(maxsize=4096)
def _find_prospect(
    policy: Policy, server: str, method: str, tool: str | None, hint: bool | None, is_from_upstream: bool
) -> Prospect:
    kind = classify(method, is_from_upstream=is_from_upstream, has_tool=tool is not None)
    access, access_from = _access(kind, policy.upstream(server), tool or "", hint)
    # Housekeeping keeps a session alive: only a rule that names methods means it.
    spoken = policy.rules if kind is not MethodClass.HOUSEKEEPING else [r for r in policy.rules if r.match.method]
    rules = tuple(rule for rule in spoken if is_about(rule.match, server, method, tool, access))
    if kind is MethodClass.CONTINUATION:
        # A person has been asked about the call already.
        rules = tuple(replace(rule, effect=Effect.ALLOW) if rule.effect is Effect.ASK else rule for rule in rules)
    return Prospect(kind, access, access_from, rules, _default(policy, kind, access, access_from))


def _default(policy: Policy, kind: MethodClass, access: Access, access_from: AccessFrom) -> Decision | None:
    if kind is MethodClass.HOUSEKEEPING:
        return Decision(Effect.ALLOW, "housekeeping", "keeps the session", access, access_from, is_recorded=False)
    effect = policy.defaults.effect(access)
    if effect is Effect.DENY:
        return None
    reason = f"{_NOUNS[access]} {_BY_DEFAULT[effect]}"
    if kind is MethodClass.CONTINUATION and effect is Effect.ASK:
        effect = Effect.ALLOW
    return _by_default(effect, reason, access, access_from)


def _by_default(effect: Effect, reason: str, access: Access, access_from: AccessFrom) -> Decision:
    return Decision(effect, f"defaults.{access.value}", reason, access, access_from)


def _access(kind: MethodClass, upstream: Upstream, tool: str, hint: bool | None) -> tuple[Access, AccessFrom]:
    match kind:
        case MethodClass.TOOL_CALL | MethodClass.CONTINUATION:
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
    place = f"the rule {rule.id!r} {_place_of(policy, rule)}"
    return f"{rule.reason} ({place})" if rule.reason else f"{place} {_VERBS[rule.effect]}"


def _place_of(policy: Policy, rule: Rule) -> str:
    return f"in line {rule.line} of {policy.source}"


def _reason_to_deny(policy: Policy, request: Request, access: Access, access_from: AccessFrom) -> str:
    denied = f"{_NOUNS[access]} are denied unless a rule allows them; {_remedy(policy, request)}"
    if request.tool and access is Access.WRITE and access_from is AccessFrom.DEFAULT:
        return f"nothing classifies this tool, so it counts as a write; {denied}, and so would `access` if it is a read"
    return denied


def _remedy(policy: Policy, request: Request) -> str:
    """Return the line that would allow such requests, as it can be pasted into the rules of the policy."""
    subject = {"tool": request.tool} if request.tool is not None else {"method": request.method}
    subject |= {name: value for name, value in (("uri", request.uri), ("prompt", request.prompt)) if value is not None}
    patterns = {name: literal(value) for name, value in subject.items()}
    name = next(iter(subject.values()))
    # An empty name would have the line speak about nothing, or about everything.
    if any(not 0 < len(value) <= _MAX_SHOWN or not value.isprintable() for value in patterns.values()):
        return f"a rule for server {request.server!r} in {_file_to_edit(policy)} would allow it"
    rule_id = "allow-" + re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:_MAX_ID]
    match = json.dumps({"server": request.server} | patterns, ensure_ascii=False)
    line = f"- {{id: {rule_id}, match: {match}, effect: allow}}"
    return f"the line `{line}` under `rules:` in {_file_to_edit(policy)} would allow it"


def _file_to_edit(policy: Policy) -> str:
    is_there = policy.editable == policy.source
    return policy.editable if is_there else f"a copy of {policy.source}, made as {policy.editable},"


def _shown(name: str | None) -> str:
    """Return a name that a peer chose as it can be shown: printable, and not longer than a line."""
    return repr(name if name is None or len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}…")
