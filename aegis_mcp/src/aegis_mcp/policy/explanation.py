"""Why policy decides as it does: every rule in order, and what of its match fits and what does not.

Each part of a match is judged as a match of its own, by the functions that decide: there is no second opinion.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from aegis_mcp.decision import Decision, Effect, Request
from aegis_mcp.method import MethodClass
from aegis_mcp.policy.evaluation import Prospect, decide, judge, limits_of, prospect_of
from aegis_mcp.policy.matching import Truth, applies, is_about
from aegis_mcp.policy.model import (
    Absent,
    Argument,
    GlobMatch,
    Globs,
    HostMatch,
    InRange,
    Limit,
    Match,
    Matcher,
    MaxLength,
    OneOf,
    Policy,
    RegexMatch,
    Rule,
    Within,
)


class Turn(Enum):
    """What becomes of a rule: it decides, comes too late to, leaves the request to the next, or is not asked at all."""

    DECIDES = "decides"
    TOO_LATE = "too_late"
    PASSES_ON = "passes_on"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a match asks for: of what, what, and whether it fits, None if nobody can tell.

    `is_given` is False only for an argument that the request does not have.
    """

    of: str
    asked: str
    fits: Truth
    is_given: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One rule, what became of it, what it says or would say, and the parts of its match.

    `is_unsure` marks one of which nobody can tell whether it applies.
    """

    rule: Rule
    turn: Turn
    effect: Effect | None
    parts: tuple[Part, ...]
    is_unsure: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, and how it came about.

    `default` is what happens where no rule speaks, `limits` are those that count such a request, with their names.
    """

    request: Request
    decision: Decision
    steps: tuple[Step, ...]
    default: Effect
    limits: tuple[tuple[str, Limit], ...]


def explain(policy: Policy, request: Request) -> Explanation:
    """Decide on a request, and say how."""
    prospect = prospect_of(policy, request)
    is_housekeeping = prospect.kind is MethodClass.HOUSEKEEPING
    default = Effect.ALLOW if is_housekeeping else policy.defaults.effect(prospect.access)
    counted = limits_of(policy, request, prospect.access)
    limits = tuple((f"limits.{place + 1}", policy.limits[place]) for place in counted)
    steps = tuple(_steps(policy, request, prospect))
    return Explanation(request, decide(policy, request), steps, default, limits)


def _steps(policy: Policy, request: Request, prospect: Prospect) -> Iterator[Step]:
    is_decided = not request.is_listed
    speaking = {rule.id for rule in prospect.rules}
    for rule in policy.rules:
        parts = tuple(_parts(rule.match, request, prospect))
        if rule.id not in speaking:
            is_asked = prospect.kind is not MethodClass.HOUSEKEEPING or rule.match.method
            yield Step(rule, Turn.PASSES_ON if is_asked else Turn.NOT_ASKED, None, parts)
            continue
        decision = judge(policy, rule, request, prospect)
        is_unsure = applies(rule.match, request) is None
        if decision is None:
            yield Step(rule, Turn.PASSES_ON, None, parts, is_unsure)
            continue
        yield Step(rule, Turn.TOO_LATE if is_decided else Turn.DECIDES, decision.effect, parts, is_unsure)
        is_decided = True


def _parts(match: Match, request: Request, prospect: Prospect) -> Iterator[Part]:
    about = (request.server, request.method, request.tool, prospect.access)
    if match.server is not None:
        yield Part("server", _shown(match.server), is_about(Match(server=match.server), *about))
    if match.method is not None:
        yield Part("method", _shown(match.method), is_about(Match(method=match.method), *about))
    if match.tool is not None:
        yield Part("tool", _shown(match.tool), is_about(Match(tool=match.tool), *about))
    if match.access is not None:
        asked = ", ".join(sorted(access.value for access in match.access))
        yield Part("access", asked, is_about(Match(access=match.access), *about))
    if match.uri is not None:
        yield Part("uri", _shown(match.uri), applies(Match(uri=match.uri), request))
    if match.prompt is not None:
        yield Part("prompt", _shown(match.prompt), applies(Match(prompt=match.prompt), request))
    for argument in match.arguments:
        yield from _parts_of_argument(argument, request)


def _parts_of_argument(argument: Argument, request: Request) -> Iterator[Part]:
    is_given = not _applies(argument, Absent(), request)
    for matcher in argument.matchers:
        name = f"argument {_pointer(argument.pointer)}"
        yield Part(name, describe(matcher), _applies(argument, matcher, request), is_given)


def _applies(argument: Argument, matcher: Matcher, request: Request) -> Truth:
    return applies(Match(arguments=(Argument(argument.pointer, (matcher,)),)), request)


def _shown(globs: Globs) -> str:
    return " or ".join(repr(glob.text) for glob in globs)


def _pointer(pointer: tuple[str, ...]) -> str:
    """Return a place as a policy names it (RFC 6901 §3)."""
    if len(pointer) == 1 and not pointer[0].startswith("/"):
        return pointer[0]
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in pointer)


def describe(matcher: Matcher) -> str:
    """Return what a matcher asks, as a policy says it."""
    match matcher:
        case OneOf(values):
            text = f"{'equals' if len(values) == 1 else 'in'} {', '.join(map(json.dumps, values))}"
        case GlobMatch(globs):
            text = f"glob {_shown(globs)}"
        case Within(directories):
            text = f"within {' or '.join(map(repr, directories))}"
        case RegexMatch(expression):
            text = f"regex {expression!r}"
        case HostMatch(globs):
            text = f"host {_shown(globs)}"
        case MaxLength(characters):
            text = f"max_length {characters}"
        case InRange(least, most):
            bounds = (("min", least), ("max", most))
            text = "range " + ", ".join(f"{name} {value}" for name, value in bounds if value is not None)
        case Absent():
            text = "absent"
        case _:
            assert_never(matcher)
    return text
