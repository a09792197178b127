"""What a policy file may say: from a document with places to a `Policy`, noting every mistake on the way.

A reader of a section returns its best guess where something is wrong, so that the next mistake is found as well.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from aegis_mcp.decision import Access, Effect
from aegis_mcp.policy.coverage import Earlier, shadowed
from aegis_mcp.policy.located import Listing, Located, Mapping, Mistakes, Scalar
from aegis_mcp.policy.model import (
    Argument,
    Classification,
    Defaults,
    Glob,
    GlobMatch,
    Globs,
    JsonScalar,
    Match,
    Matcher,
    OneOf,
    Policy,
    Rule,
    Upstream,
    Within,
)
from aegis_mcp.settings import ArgumentMode, AuditSettings, Durability, OnFailure

MAX_RULES: Final = 2_000
"""Rules of one file; comparing each with those before it is quick for so many, however they are written."""

E = TypeVar("E", bound=Enum)

_NOT_YET: Final = frozenset(
    {"limits", "results", "pins", "url", "auth", "ask", "monitor", "regex", "host", "max_length", "range", "absent"}
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE: Final = re.compile(r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}")
_SET: Final = re.compile(r"\[!?+.[^]]*\]", re.DOTALL)
_RANGE: Final = re.compile(r"(.)-(.)", re.DOTALL)
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_RESERVED: Final = ("defaults.", "housekeeping", "protocol", "unlisted-tool")


def policy(document: Located, mistakes: Mistakes, identity: tuple[str, str, str]) -> Policy:
    """Read a whole document; `identity` is the file's name, the file that a person would change, and the SHA-256."""
    return _Schema(mistakes).policy(document, *identity)


class _Schema:
    def __init__(self, mistakes: Mistakes) -> None:
        self._mistakes = mistakes

    def policy(self, document: Located, source: str, editable: str, sha256: str) -> Policy:
        known = ("version", "defaults", "trust_annotations", "upstreams", "rules", "audit")
        sections = self._members(document, known)
        if "version" not in sections:
            self._mistakes.note(document, "`version: 1` is missing")
        elif not (isinstance(sections["version"], Scalar) and self._is_one(sections["version"])):
            self._mistakes.note(sections["version"], "the version must be 1")
        is_trusting = self._flag(sections.get("trust_annotations"))
        return Policy(
            source,
            editable,
            sha256,
            self._defaults(sections.get("defaults")),
            is_trusting,
            self._upstreams(sections.get("upstreams"), is_trusting=is_trusting),
            self._rules(sections.get("rules")),
            self._audit(sections.get("audit")),
        )

    def _defaults(self, where: Located | None) -> Defaults:
        given = self._members(where, [access.value for access in Access])
        return Defaults(**{name: self._choice(value, Effect, Effect.DENY) for name, value in given.items()})

    def _audit(self, where: Located | None) -> AuditSettings:
        given = self._members(where, ("arguments", "on_failure", "durability", "deadline"))
        standard = AuditSettings()
        return AuditSettings(
            self._choice(given.get("arguments"), ArgumentMode, standard.arguments),
            self._choice(given.get("on_failure"), OnFailure, standard.on_failure),
            self._choice(given.get("durability"), Durability, standard.durability),
            self._seconds(given.get("deadline"), standard.deadline),
        )

    def _upstreams(self, where: Located | None, *, is_trusting: bool) -> MappingProxyType[str, Upstream]:
        upstreams: dict[str, Upstream] = {}
        for name, name_at, value in self._named(where):
            if not _NAME.fullmatch(name):
                self._mistakes.note(name_at, f"{name!r} is no name of an upstream: a-z, 0-9, - and _, at most 32")
            upstreams[name] = self._upstream(name, value, is_trusting=is_trusting)
        return MappingProxyType(upstreams)

    def _upstream(self, name: str, where: Located, *, is_trusting: bool) -> Upstream:
        given = self._members(where, ("command", "env", "trust_annotations", "access"))
        access = self._classifications(given.get("access"))
        is_trusting = self._flag(given["trust_annotations"]) if "trust_annotations" in given else is_trusting
        env = {variable: self._env(variable, at, value) for variable, at, value in self._named(given.get("env"))}
        return Upstream(name, self._command(given.get("command")), MappingProxyType(env), is_trusting, access)

    def _classifications(self, where: Located | None) -> tuple[Classification, ...]:
        classifications: list[Classification] = []
        for name, at, value in self._named(where):
            tools = self._globs(value)
            before = [glob for earlier in classifications for glob in earlier.tools]
            if late := shadowed(tools, before):
                self._mistakes.note(at, f"{late.text!r} is never reached: a pattern above it fits first")
            classifications.append(Classification(self._access(name, at), tools))
        return tuple(classifications)

    def _command(self, where: Located | None) -> tuple[str, ...] | None:
        if where is None:
            return None
        if not isinstance(where, Listing) or not where.items:
            self._mistakes.note(where, "the command must be a list: the program, then each of its arguments")
            return None
        return tuple(self._text(item) for item in where.items)

    def _env(self, variable: str, at: Located, where: Located) -> str:
        if not _VARIABLE.fullmatch(variable):
            self._mistakes.note(at, f"{variable!r} is no name of an environment variable")
        value = self._text(where)
        if "${" in _REFERENCE.sub("", value):
            self._mistakes.note(where, "a reference must have the form ${env:NAME}")
        return value

    def _rules(self, where: Located | None) -> tuple[Rule, ...]:
        items = self._items(where)
        if len(items) > MAX_RULES:
            self._mistakes.note(items[MAX_RULES], f"more than {MAX_RULES} rules")
            items = items[:MAX_RULES]
        rules: list[Rule] = []
        earlier = Earlier()
        lines: dict[str, int] = {}
        for item in items:
            rule = self._rule(item)
            if rule.id and rule.id in lines:
                self._mistakes.note(item, f"the id {rule.id!r} is that of the rule in line {lines[rule.id]}")
            lines.setdefault(rule.id, rule.line)
            is_known = rule.match != Match()  # else it has been noted, and is no measure for others
            if is_known and (covering := earlier.covering(rule)):
                message = (
                    f"the rule {rule.id!r} can never apply: {covering.id!r} in line {covering.line} decides before it"
                )
                self._mistakes.note(item, message)
            rules.append(rule)
            if is_known:
                earlier.add(rule)
        return tuple(rules)

    def _rule(self, where: Located) -> Rule:
        given = self._members(where, ("id", "match", "effect", "reason"))
        for name in ("id", "match", "effect"):
            if isinstance(where, Mapping) and name not in given:
                self._mistakes.note(where, f"the rule has no `{name}`")
        identifier = self._text(given["id"]) if "id" in given else ""
        if "id" in given and (not _ID.fullmatch(identifier) or identifier.startswith(_RESERVED)):
            message = f"{identifier!r} is no id of a rule: letters, digits, -, _ and ., at most 64, none of Aegis's own"
            self._mistakes.note(given["id"], message)
        match = self._match(given["match"]) if "match" in given else Match()
        effect = self._choice(given.get("effect"), Effect, Effect.DENY)
        reason = self._text(given["reason"]) if "reason" in given else ""
        return Rule(identifier, match, effect, reason, where.place.line)

    def _match(self, where: Located) -> Match:
        given = self._members(where, ("server", "method", "tool", "uri", "prompt", "access", "arguments"))
        if not given:
            self._mistakes.note(where, 'the match is empty; to match everything say `server: "*"`')
        globs = {
            name: self._globs(given[name]) for name in ("server", "method", "tool", "uri", "prompt") if name in given
        }
        if len(subjects := [name for name in ("tool", "uri", "prompt") if name in given]) > 1:
            self._mistakes.note(where, f"no request has {' and '.join(subjects)} at once")
        access = (
            frozenset(self._choice(one, Access, Access.WRITE) for one in self._one_or_more(given["access"]))
            if "access" in given
            else None
        )
        arguments = tuple(self._argument(*named) for named in self._named(given.get("arguments")))
        return Match(**globs, access=access, arguments=arguments)

    def _argument(self, name: str, at: Located, where: Located) -> Argument:
        readers: dict[str, Callable[[Located], Matcher]] = {
            "equals": lambda value: OneOf((self._scalar(value),)),
            "in": lambda value: OneOf(tuple(self._scalar(item) for item in self._items(value))),
            "glob": lambda value: GlobMatch(self._globs(value)),
            "within": lambda value: Within(tuple(self._directory(one) for one in self._one_or_more(value))),
        }
        if not isinstance(where, Mapping):
            self._mistakes.note(where, f"say how {name!r} is compared: equals, in, glob or within")
            return Argument((), ())
        given = self._members(where, readers)
        if not given:
            self._mistakes.note(where, f"nothing is asked of the argument {name!r}")
        matchers = tuple(readers[matcher](value) for matcher, value in given.items())
        return Argument(self._pointer(name, at), matchers)

    def _pointer(self, name: str, at: Located) -> tuple[str, ...]:
        if not name.startswith("/"):
            return (name,)
        if re.search(r"~(?![01])", name):
            self._mistakes.note(at, f"{name!r} is no JSON pointer: after ~ comes 0 or 1 (RFC 6901)")
        return tuple(token.replace("~1", "/").replace("~0", "~") for token in name[1:].split("/"))

    def _directory(self, where: Located) -> str:
        text = self._text(where)
        path = Path(text)
        try:
            path = path.expanduser()
        except RuntimeError:
            self._mistakes.note(where, f"there is no home directory for {text!r}")
        if not path.is_absolute():
            self._mistakes.note(where, f"{text!r} is not absolute; a host starts the gateway in any directory")
        try:
            return os.path.realpath(path)
        except ValueError:
            return ""  # a text that no path can hold, which is noted already

    def _access(self, name: str, at: Located) -> Access:
        if name not in {Access.READ.value, Access.WRITE.value}:
            self._mistakes.note(at, f"{name!r} is no access of a tool; it is read or write")
            return Access.WRITE
        return Access(name)

    def _globs(self, where: Located) -> Globs:
        return tuple(self._glob(one) for one in self._one_or_more(where))

    def _glob(self, where: Located) -> Glob:
        text = self._text(where)
        if "[" in _SET.sub("", text):
            self._mistakes.note(where, f"{text[:60]!r} has a [ without ]; the character itself is [[]")
        elif any(first > last for chars in _SET.findall(text) for first, last in _RANGE.findall(chars[1:-1])):
            self._mistakes.note(where, f"{text[:60]!r} has a range that ends before it begins")
        return Glob(text)

    def _one_or_more(self, where: Located) -> tuple[Located, ...]:
        if not isinstance(where, Listing):
            return (where,)
        if not where.items:
            self._mistakes.note(where, "the list is empty")
        return where.items

    def _items(self, where: Located | None) -> tuple[Located, ...]:
        if where is None or isinstance(where, Listing):
            return where.items if where else ()
        is_nothing = isinstance(where, Scalar) and where.value is None
        remedy = "; leave the key out, or write []" if is_nothing else ""
        self._mistakes.note(where, f"this must be a list{remedy}")
        return ()

    def _named(self, where: Located | None) -> Iterator[tuple[str, Located, Located]]:
        """Yield name, place of the name, and value of each member; a name that stands here twice is a mistake."""
        if where is None:
            return
        if not isinstance(where, Mapping):
            self._mistakes.note(where, "this must be a mapping of names to values")
            return
        seen: set[str] = set()
        for name_at, value in where.members:
            name = self._text(name_at)
            if name in seen:
                self._mistakes.note(name_at, f"{name!r} stands here twice")
                continue
            seen.add(name)
            yield name, name_at, value

    def _members(self, where: Located | None, known: Iterable[str]) -> dict[str, Located]:
        """Return the members of a section whose names are known; others are mistakes."""
        names = list(known)
        members: dict[str, Located] = {}
        for name, at, value in self._named(where):
            if name in names:
                members[name] = value
            elif name in _NOT_YET:
                self._mistakes.note(at, f"`{name}` is not supported by this version of Aegis")
            else:
                close = difflib.get_close_matches(name, names, 1)
                hint = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(names)}"
                self._mistakes.note(at, f"`{name[:60]}` is not known here; {hint}")
        return members

    def _choice(self, where: Located | None, choices: type[E], otherwise: E) -> E:
        if where is None:
            return otherwise
        text = where.text if isinstance(where, Scalar) else ""
        values = [str(choice.value) for choice in choices]
        if text in values:
            return choices(text)
        if text in _NOT_YET:
            self._mistakes.note(where, f"`{text}` is not supported by this version of Aegis")
        else:
            self._mistakes.note(where, f"this must be one of {', '.join(values)}")
        return otherwise

    def _flag(self, where: Located | None) -> bool:
        if where is None:
            return False
        if not (isinstance(where, Scalar) and isinstance(where.value, bool) and where.is_unambiguous):
            self._mistakes.note(where, "this must be true or false")
            return False
        return where.value

    def _seconds(self, where: Located | None, otherwise: float) -> float:
        if where is None:
            return otherwise
        value = where.value if isinstance(where, Scalar) and where.is_unambiguous else None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 60:
            self._mistakes.note(where, "this must be a number of seconds, more than 0 and at most 60")
            return otherwise
        return float(value)

    def _text(self, where: Located) -> str:
        if isinstance(where, Scalar) and isinstance(where.value, str):
            if _CONTROL.search(where.value):
                self._mistakes.note(where, "the text has a control character, or one that is not in Unicode")
            return where.value
        if isinstance(where, Scalar):
            self._mistakes.note(where, f"YAML reads {where.text!r:.60} as no text; put it into quotes")
        else:
            self._mistakes.note(where, "this must be a text")
        return ""

    def _scalar(self, where: Located) -> JsonScalar:
        if not isinstance(where, Scalar):
            self._mistakes.note(where, "this must be a single value")
            return None
        if isinstance(where.value, str):
            return self._text(where)
        if not where.is_unambiguous or (isinstance(where.value, float) and not math.isfinite(where.value)):
            message = f"{where.text[:60]!r} is not read alike everywhere; write it as in JSON, or put it into quotes"
            self._mistakes.note(where, message)
        return where.value

    def _is_one(self, where: Scalar) -> bool:
        return where.text == "1" and where.value == 1
