"""What a policy would have decided on recorded requests.

A log leaves secrets out. Where a decision depends on what it left out, every decision that is possible is followed; if
they differ in effect, nobody can tell, and that is the answer. Paths are resolved as the file system is now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, cast

from aegis_audit.value import replace
from aegis_mcp.decision import Decision, Effect, Request
from aegis_mcp.policy.evaluation import decide, fall_back, judge, prospect_of
from aegis_mcp.policy.matching import ABSENT, find, is_about
from aegis_mcp.policy.model import Absent, Argument, Match, Policy
from aegis_mcp.recorded import Recorded, is_left_out

_NOT_OF_POLICY: Final = frozenset({"pins", "protocol"})
_NAMED: Final = frozenset({"server", "method", "tool"})
_LIMIT: Final = "limits."


class Verdict(Enum):
    """How what a policy says compares with what the log has: `UNKNOWN` where that cannot be told.

    `NOT_OF_POLICY` is what was refused for reasons of its own, whatever a policy says.
    """

    SAME = "same"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    NOT_OF_POLICY = "not_of_policy"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded request and what a policy would say to it.

    `effect` is None unless it is certain; `rules` are those that may decide; `doubts` say on what the log does not tell
    that depends. `is_limited` marks what may pass, and is then counted by a limit.
    """

    recorded: Recorded
    verdict: Verdict
    effect: Effect | None = None
    rules: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    is_limited: bool = False


class Replay:
    """One pass of a policy over recorded requests, and its account.

    `changes` counts changed decisions by what they are now, `moved` those that are the same by another rule, `limited`
    those that a limit counts as well.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.verdicts: Counter[Verdict] = Counter()
        self.changes: Counter[Effect] = Counter()
        self.moved = 0
        self.limited = 0

    def take(self, recorded: Recorded) -> Replayed:
        """Decide on one more request."""
        replayed = replay(self._policy, recorded)
        self.verdicts[replayed.verdict] += 1
        if replayed.verdict is Verdict.CHANGED and replayed.effect:
            self.changes[replayed.effect] += 1
        self.moved += replayed.verdict is Verdict.SAME and recorded.rule not in replayed.rules
        self.limited += replayed.is_limited
        return replayed


def replay(policy: Policy, recorded: Recorded) -> Replayed:
    """Say what a policy would have decided on a recorded request."""
    if recorded.rule in _NOT_OF_POLICY:
        return Replayed(recorded, Verdict.NOT_OF_POLICY)
    if names := recorded.obscure & _NAMED:
        return Replayed(recorded, Verdict.UNKNOWN, doubts=(f"the log does not hold the {min(names)}",))
    outlook = _outlook(policy, recorded)
    rules = tuple(dict.fromkeys(decision.rule for decision in outlook.decisions))
    effects = {decision.effect for decision in outlook.decisions}
    is_limited = effects != {Effect.DENY} and _is_limited(policy, recorded.request, outlook.decisions)
    if recorded.rule.startswith(_LIMIT) and is_limited:
        effects.add(Effect.DENY)
        outlook.doubts[f"{recorded.rule!r} had no room, and whether a limit has some depends on the rest"] = None
    if len(effects) > 1:
        return Replayed(recorded, Verdict.UNKNOWN, None, rules, tuple(outlook.doubts), is_limited)
    (effect,) = effects
    verdict = Verdict.SAME if effect is recorded.effect else Verdict.CHANGED
    return Replayed(recorded, verdict, effect, rules, is_limited=is_limited)


@dataclass(frozen=True, slots=True)
class _Outlook:
    """Every decision that is possible, and, in order, what they depend on and the log does not tell."""

    decisions: list[Decision] = field(default_factory=list[Decision])
    doubts: dict[str, None] = field(default_factory=dict[str, None])


def _outlook(policy: Policy, recorded: Recorded) -> _Outlook:
    outlook = _Outlook()
    readings = _readings(policy, recorded)
    for request in readings:
        outlook.decisions.extend(_possible(policy, recorded, request, outlook.doubts))
    if len({prospect_of(policy, request).access for request in readings}) > 1:
        outlook.doubts["the log does not hold what the server said of the tool (readOnlyHint)"] = None
    return outlook


def _readings(policy: Policy, recorded: Recorded) -> list[Request]:
    """Return the requests that this may have been: an annotation is in the log only where the policy trusted it."""
    request = recorded.request
    is_trusting = policy.upstream(request.server).trust_annotations
    if request.tool is None or not is_trusting or "read_only_hint" not in recorded.obscure:
        return [request]
    return [request._replace(read_only_hint=hint) for hint in (True, False)]


def _possible(policy: Policy, recorded: Recorded, request: Request, doubts: dict[str, None]) -> Iterator[Decision]:
    """Yield every decision that may come of a request: a rule that may speak may also leave it to the next."""
    if not request.is_listed:
        yield decide(policy, request)
        return
    prospect = prospect_of(policy, request)
    for rule in prospect.rules:
        told, untold = _divide(rule.match, recorded)
        decision = judge(policy, replace(rule, match=told) if untold else rule, request, prospect)
        if decision is None:
            continue
        yield decision
        if not untold:
            return
        doubts[f"the log does not hold {' and '.join(untold)}, which the rule {rule.id!r} asks for"] = None
        if rule.effect is Effect.ASK:
            yield decision._replace(effect=Effect.DENY)  # what cannot be judged is not asked about
    yield fall_back(policy, request, prospect)


def _divide(match: Match, recorded: Recorded) -> tuple[Match, list[str]]:
    """Return the part of a match that the log can answer, and the names of what it cannot."""
    obscure = [name for name in ("uri", "prompt") if name in recorded.obscure and getattr(match, name) is not None]
    untold = [argument for argument in match.arguments if not _is_told(argument, recorded.arguments)]
    if not obscure and not untold:
        return match, []
    told = replace(
        match,
        uri=None if "uri" in obscure else match.uri,
        prompt=None if "prompt" in obscure else match.prompt,
        arguments=tuple(argument for argument in match.arguments if argument not in untold),
    )
    names = [f"the argument {'/'.join(argument.pointer)!r}" for argument in untold]
    return told, [*(f"the {name}" for name in obscure), *names]


def _is_told(argument: Argument, arguments: object) -> bool:
    """Tell whether the log has what stands at the place of an argument, or that nothing does."""
    if not isinstance(arguments, Mapping):
        return False  # the log keeps no arguments
    *around, value = (find(arguments, argument.pointer[:depth]) for depth in range(len(argument.pointer) + 1))
    if any(map(is_left_out, around)):
        return False
    if value is ABSENT:
        containers = (cast("Mapping[str, Any]", place) for place in around if isinstance(place, Mapping))
        return not any(is_left_out(name) for members in containers for name in members)
    if argument.matchers == (Absent(),):
        return True  # whatever it is, it is there: null is never left out
    return not any(map(is_left_out, cast("list[Any]", value) if isinstance(value, list) else [value]))


def _is_limited(policy: Policy, request: Request, decisions: Iterable[Decision]) -> bool:
    about = (request.server, request.method, request.tool)
    return any(is_about(limit.match, *about, one.access) for limit in policy.limits for one in decisions)
