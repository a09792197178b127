"""Cases: requests, and what a policy must say to each of them.

A file of cases is read as strictly as a policy. A case passes if the decision has everything that it expects.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aegis_mcp.decision import Access, Decision, Effect, Request
from aegis_mcp.errors import ConfigError
from aegis_mcp.policy import loader
from aegis_mcp.policy.evaluation import decide
from aegis_mcp.policy.fields import Fields
from aegis_mcp.policy.located import Listing, Located, Mapping, Mistakes, Scalar
from aegis_mcp.policy.model import Policy
from aegis_mcp.policy.question import Asker, Question

_REQUEST: Final = ("server", "method", "tool", "uri", "prompt", "arguments", "read_only_hint", "from")
_IMPOSSIBLE: Final = Request("", "")


@dataclass(frozen=True, slots=True)
class Case:
    """One request, and the decision that it must get; what is None is not looked at. `line` is where it begins."""

    name: str
    request: Request
    effect: Effect
    rule: str | None
    access: Access | None
    line: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of a decision that is not as a case expects it."""

    part: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A case, the decision that its request got, and how that differs: not at all if the case has passed."""

    case: Case
    decision: Decision
    differences: tuple[Difference, ...]


def read(path: Path) -> tuple[Case, ...]:
    """Read the cases at `path`.

    Raises:
        PolicyError: the file has mistakes, or no case.
        ConfigError: it cannot be read.
    """
    return load(*loader.content(path, "file of cases", "give the path of a file of cases"))


def load(text: bytes, source: str) -> tuple[Case, ...]:
    """Make cases of the bytes of a file; `source` names it in messages.

    Raises:
        PolicyError: the file has mistakes, or no case.
    """
    mistakes = Mistakes(source)
    cases = _Cases(mistakes).cases(loader.document(text, source))
    mistakes.raise_any()
    return cases


def attempt(policy: Policy, case: Case) -> Trial:
    """Let a policy decide on a case."""
    decision = decide(policy, case.request)
    expected = (
        ("effect", case.effect.value, decision.effect.value),
        ("rule", case.rule, decision.rule),
        ("access", case.access.value if case.access else None, decision.access.value),
    )
    differences = (Difference(part, want, got) for part, want, got in expected if want is not None and want != got)
    return Trial(case, decision, tuple(differences))


class _Cases(Fields):
    def cases(self, document: Located) -> tuple[Case, ...]:
        given = self.members(document, ("version", "cases"))
        if "version" not in given:
            self.note(document, "`version: 1` is missing")
        elif not (isinstance(given["version"], Scalar) and self.is_one(given["version"])):
            self.note(given["version"], "the version must be 1")
        items = self.items(given.get("cases"))
        if not items:
            self.note(given.get("cases", document), "there is no case, and nothing is proved by none")
        cases = tuple(self._case(item) for item in items)
        lines: dict[str, int] = {}
        for item, case in zip(items, cases, strict=True):
            if case.name in lines:
                self.note(item, f"the name {case.name!r} is that of the case in line {lines[case.name]}")
            lines.setdefault(case.name, case.line)
        return cases

    def _case(self, where: Located) -> Case:
        given = self.members(where, ("name", "request", "effect", "rule", "access"))
        for name in ("name", "request", "effect"):
            if isinstance(where, Mapping) and name not in given:
                self.note(where, f"the case has no `{name}`")
        return Case(
            self.text(given["name"]) if "name" in given else f"the case in line {where.place.line}",
            self._request(given["request"]) if "request" in given else _IMPOSSIBLE,
            self.choice(given.get("effect"), Effect, Effect.DENY),
            self.text(given["rule"]) if "rule" in given else None,
            self.choice(given["access"], Access, Access.WRITE) if "access" in given else None,
            where.place.line,
        )

    def _request(self, where: Located) -> Request:
        given = self.members(where, _REQUEST)
        if "server" not in given:
            self.note(where, "the request has no `server`")
        texts = {name: self.text(given[name]) for name in ("method", "tool", "uri", "prompt") if name in given}
        question = Question(
            self.text(given["server"]) if "server" in given else "",
            **texts,
            arguments=self._arguments(given.get("arguments")),
            read_only_hint=self.flag(given["read_only_hint"]) if "read_only_hint" in given else None,
            asker=self.choice(given.get("from"), Asker, Asker.HOST),
        )
        try:
            return question.request()
        except ConfigError as exc:
            self.note(where, str(exc))
            return _IMPOSSIBLE

    def _arguments(self, where: Located | None) -> dict[str, Any]:
        return {name: self._value(value) for name, _, value in self.named(where)}

    def _value(self, where: Located) -> Any:
        match where:
            case Scalar():
                return self.scalar(where)
            case Listing(items=items):
                return [self._value(item) for item in items]
            case Mapping():
                return self._arguments(where)
