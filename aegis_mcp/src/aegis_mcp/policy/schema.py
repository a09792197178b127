"""What a policy file may say: from a document with places to a `Policy`, noting every mistake on the way.

A reader of a section returns its best guess where something is wrong, so that the next mistake is found as well.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from typing import Final

from aegis_mcp.decision import Access, Effect, Secrets
from aegis_mcp.policy.conditions import Conditions
from aegis_mcp.policy.coverage import Earlier, shadowed
from aegis_mcp.policy.endpoint import REMOTE, Endpoints
from aegis_mcp.policy.located import Listing, Located, Mapping, Mistakes, Scalar
from aegis_mcp.policy.model import (
    Classification,
    Defaults,
    Limit,
    Match,
    PinMode,
    Policy,
    Results,
    Rule,
    Upstream,
    is_name,
)
from aegis_mcp.settings import (
    Anchor,
    AnchorKind,
    Anchors,
    ArgumentMode,
    AuditSettings,
    Durability,
    OnFailure,
    OnLag,
    Rotation,
    Signatures,
)

MAX_RULES: Final = 2_000
"""Rules of one file; comparing each with those before it is quick for so many, however they are written."""

MIN_SEGMENT: Final = 64 * 1024
"""Bytes of the smallest segment that a policy may ask for: the longest entry fits in it."""

_SECTIONS: Final = (
    *("version", "defaults", "trust_annotations", "upstreams", "rules"),
    *("audit", "limits", "results", "pins", "ask"),
)
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_RESERVED: Final = ("defaults.", "limits.", "housekeeping", "pins", "protocol", "unlisted-tool")
_RATE: Final = r"([1-9][0-9]{0,5})/(second|minute|hour|day)"
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_SIZE: Final = r"([1-9][0-9]{0,5})(KiB|MiB)"
_UNITS: Final = {"KiB": 1024, "MiB": 1024 * 1024}


def policy(document: Located, mistakes: Mistakes, identity: tuple[str, str, str]) -> Policy:
    """Read a whole document; `identity` is the file's name, the file that a person would change, and the SHA-256."""
    return _Schema(mistakes).policy(document, *identity)


class _Schema(Conditions, Endpoints):
    def policy(self, document: Located, source: str, editable: str, sha256: str) -> Policy:
        sections = self.members(document, _SECTIONS)
        if "version" not in sections:
            self.note(document, "`version: 1` is missing")
        elif not (isinstance(sections["version"], Scalar) and self.is_one(sections["version"])):
            self.note(sections["version"], "the version must be 1")
        is_trusting = self.flag(sections.get("trust_annotations"))
        return Policy(
            source,
            editable,
            sha256,
            self._defaults(sections.get("defaults")),
            is_trusting,
            self._upstreams(sections.get("upstreams"), is_trusting=is_trusting),
            self._rules(sections.get("rules")),
            self._audit(sections.get("audit")),
            tuple(self._limit(item) for item in self.items(sections.get("limits"))),
            self._results(sections.get("results")),
            self.choice(sections.get("pins"), PinMode, PinMode.FIRST_USE),
            self._ask_seconds(sections.get("ask")),
        )

    def _defaults(self, where: Located | None) -> Defaults:
        given = self.members(where, [access.value for access in Access])
        return Defaults(**{name: self.choice(value, Effect, Effect.DENY) for name, value in given.items()})

    def _audit(self, where: Located | None) -> AuditSettings:
        given = self.members(
            where,
            ("arguments", "on_failure", "durability", "deadline", "rotate", "retention", "signatures", "anchors"),
        )
        standard = AuditSettings()
        return AuditSettings(
            self.choice(given.get("arguments"), ArgumentMode, standard.arguments),
            self.choice(given.get("on_failure"), OnFailure, standard.on_failure),
            self.choice(given.get("durability"), Durability, standard.durability),
            self.seconds(given.get("deadline"), standard.deadline),
            self._rotation(given.get("rotate"), given.get("retention")),
            self.choice(given.get("signatures"), Signatures, standard.signatures),
            self._anchors(given.get("anchors")),
        )

    def _anchors(self, where: Located | None) -> Anchors:
        given = self.members(where, ("places", "max_lag", "on_lag"))
        standard = Anchors()
        return Anchors(
            tuple(anchor for item in self.items(given.get("places")) if (anchor := self._anchor(item))),
            self.seconds(given.get("max_lag"), standard.max_lag, 86_400),
            self.choice(given.get("on_lag"), OnLag, standard.on_lag),
        )

    def _anchor(self, where: Located) -> Anchor | None:
        given = self.members(where, [kind.value for kind in AnchorKind])
        if len(given) != 1:
            self.note(where, f"an anchor is one of {', '.join(kind.value for kind in AnchorKind)}")
            return None
        ((name, value),) = given.items()
        kind = AnchorKind(name)
        target = (self._command(value) or ()) if kind is AnchorKind.COMMAND else (self.text(value),)
        is_path = kind not in {AnchorKind.COMMAND, AnchorKind.TIMESTAMP}
        if target and is_path and not Path(target[0]).is_absolute():
            self.note(value, f"{target[0][:200]!r} must be an absolute path: a host starts us anywhere")
        return Anchor(kind, target) if target else None

    def _rotation(self, rotate: Located | None, retention: Located | None) -> Rotation:
        full = self.members(rotate, ("max_bytes",))
        kept = self.members(retention, ("segments", "days"))
        size = self._size(full["max_bytes"]) if "max_bytes" in full else None
        if size is not None and size < MIN_SEGMENT:
            self.note(full["max_bytes"], f"a segment has at least {MIN_SEGMENT // 1024}KiB")
        return Rotation(size, *(self._count(kept[name]) if name in kept else None for name in ("segments", "days")))

    def _count(self, where: Located) -> int:
        number = self.number(where)
        if not isinstance(number, int) or not 0 < number <= 100_000:
            self.note(where, "this must be a whole number, more than 0 and at most 100000")
            return 1
        return number

    def _upstreams(self, where: Located | None, *, is_trusting: bool) -> MappingProxyType[str, Upstream]:
        upstreams: dict[str, Upstream] = {}
        for name, name_at, value in self.named(where):
            if not is_name(name):
                self.note(name_at, f"{name!r} is no name of an upstream: a-z, 0-9, - and _, at most 32")
            upstreams[name] = self._upstream(name, value, is_trusting=is_trusting)
        return MappingProxyType(upstreams)

    def _upstream(self, name: str, where: Located, *, is_trusting: bool) -> Upstream:
        given = self.members(where, ("command", "env", "trust_annotations", "access", *REMOTE))
        access = self._classifications(given.get("access"))
        is_trusting = self.flag(given["trust_annotations"]) if "trust_annotations" in given else is_trusting
        env = {variable: self._env(variable, at, value) for variable, at, value in self.named(given.get("env"))}
        command = self._command(given.get("command"))
        return Upstream(name, command, MappingProxyType(env), is_trusting, access, *self.remote(given))

    def _classifications(self, where: Located | None) -> tuple[Classification, ...]:
        classifications: list[Classification] = []
        for name, at, value in self.named(where):
            tools = self.globs(value)
            before = [glob for earlier in classifications for glob in earlier.tools]
            if late := shadowed(tools, before):
                self.note(at, f"{late.text!r} is never reached: a pattern above it fits first")
            classifications.append(Classification(self._access(name, at), tools))
        return tuple(classifications)

    def _command(self, where: Located | None) -> tuple[str, ...] | None:
        if where is None:
            return None
        if not isinstance(where, Listing) or not where.items:
            self.note(where, "the command must be a list: the program, then each of its arguments")
            return None
        return tuple(self.text(item) for item in where.items)

    def _env(self, variable: str, at: Located, where: Located) -> str:
        if not re.fullmatch(_VARIABLE, variable):
            self.note(at, f"{variable!r} is no name of an environment variable")
        return self.reference(where)

    def _rules(self, where: Located | None) -> tuple[Rule, ...]:
        items = self.items(where)
        if len(items) > MAX_RULES:
            self.note(items[MAX_RULES], f"more than {MAX_RULES} rules")
            items = items[:MAX_RULES]
        rules: list[Rule] = []
        earlier = Earlier()
        lines: dict[str, int] = {}
        for item in items:
            rule = self._rule(item)
            if rule.id and rule.id in lines:
                self.note(item, f"the id {rule.id!r} is that of the rule in line {lines[rule.id]}")
            lines.setdefault(rule.id, rule.line)
            is_known = rule.match != Match()  # else it has been noted, and is no measure for others
            if is_known and (covering := earlier.covering(rule)):
                message = (
                    f"the rule {rule.id!r} can never apply: {covering.id!r} in line {covering.line} decides before it"
                )
                self.note(item, message)
            rules.append(rule)
            if is_known:
                earlier.add(rule)
        return tuple(rules)

    def _rule(self, where: Located) -> Rule:
        given = self.members(where, ("id", "match", "effect", "reason", "secrets"))
        for name in ("id", "match", "effect"):
            if isinstance(where, Mapping) and name not in given:
                self.note(where, f"the rule has no `{name}`")
        identifier = self.text(given["id"]) if "id" in given else ""
        if "id" in given and (not _ID.fullmatch(identifier) or identifier.startswith(_RESERVED)):
            message = f"{identifier!r} is no id of a rule: letters, digits, -, _ and ., at most 64, none of Aegis's own"
            self.note(given["id"], message)
        match = self.match(given["match"]) if "match" in given else Match()
        effect = self.choice(given.get("effect"), Effect, Effect.DENY)
        reason = self.text(given["reason"]) if "reason" in given else ""
        secrets = self.choice(given["secrets"], Secrets, Secrets.REFUSE) if "secrets" in given else None
        return Rule(identifier, match, effect, reason, where.place.line, secrets)

    def _access(self, name: str, at: Located) -> Access:
        if name not in {Access.READ.value, Access.WRITE.value}:
            self.note(at, f"{name!r} is no access of a tool; it is read or write")
            return Access.WRITE
        return Access(name)

    def _limit(self, where: Located) -> Limit:
        given = self.members(where, ("match", "rate"))
        for name in ("match", "rate"):
            if isinstance(where, Mapping) and name not in given:
                self.note(where, f"the limit has no `{name}`")
        match = self.match(given["match"]) if "match" in given else Match()
        text = self.text(given["rate"]) if "rate" in given else "1/second"
        rate = re.fullmatch(_RATE, text)
        if not rate:
            self.note(given["rate"], f"{text[:60]!r} is no rate; write a number and a time, as in 30/minute")
        count, seconds = (int(rate[1]), _SECONDS[rate[2]]) if rate else (1, 1)
        return Limit(match, count, seconds, text, where.place.line)

    def _results(self, where: Located | None) -> Results:
        given = self.members(where, ("max_bytes", "secrets"))
        size = self._size(given["max_bytes"]) if "max_bytes" in given else None
        return Results(size, self.choice(given.get("secrets"), Secrets, Secrets.PASS))

    def _size(self, where: Located) -> int:
        number = self.number(where)
        if isinstance(number, int) and number > 0:
            return number
        size = re.fullmatch(_SIZE, where.text) if isinstance(where, Scalar) else None
        if not size:
            self.note(where, "this must be a number of bytes, more than 0, or one of KiB or MiB, as in 4MiB")
            return 1
        return int(size[1]) * _UNITS[size[2]]

    def _ask_seconds(self, where: Located | None) -> float:
        return self.seconds(self.members(where, ("timeout",)).get("timeout"), 50.0, 3600)
