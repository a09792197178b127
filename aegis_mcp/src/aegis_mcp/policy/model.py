"""A policy as frozen values: what `decide` judges by.

Nothing here can be wrong any more: globs compile, ids are unique, directories are resolved. Rules apply in their order.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from aegis_audit.value import Value, field, replace
from aegis_mcp.decision import Access, Effect, Secrets
from aegis_mcp.settings import AuditSettings

JsonScalar: TypeAlias = str | int | float | bool | None

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SPECIAL: Final = re.compile(r"[*?\[]")


class Glob(Value):
    """A pattern of `*`, `?` and `[…]` over a whole name, case-sensitive.

    `fnmatch.translate` puts each `*` into an atomic group (CPython since 3.11), so that matching a hostile name
    takes time linear in its length, for every pattern.
    """

    text: str
    _pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pattern", re.compile(fnmatch.translate(self.text)))

    @property
    def is_literal(self) -> bool:
        """Tell whether the pattern has no wildcard, so that only one name fits."""
        return not {"*", "?", "["} & {*self.text}

    def matches(self, name: str) -> bool:
        """Tell whether the whole name fits."""
        return self._pattern.match(name) is not None


Globs: TypeAlias = tuple[Glob, ...]


def is_name(name: str) -> bool:
    """Tell whether a server may have this name: it stands in the policy, in the log and in commands."""
    return _NAME.fullmatch(name) is not None


def literal(name: str) -> str:
    """Return the text of a pattern that fits this name alone."""
    return _SPECIAL.sub(r"[\g<0>]", name)


class OneOf(Value):
    """`equals` and `in`: the value is one of these, as JSON compares; at least one."""

    values: tuple[JsonScalar, ...]


class GlobMatch(Value):
    """`glob`: the value is a string that fits one of these."""

    globs: Globs


class Within(Value):
    """`within`: the value is an absolute path in one of these directories, which are absolute and resolved."""

    directories: tuple[str, ...]


class RegexMatch(Value):
    """`regex`: the value is a string that the whole expression fits, in RE2's syntax.

    RE2 takes time linear in the length of the value, whatever the expression and the value are.
    """

    text: str
    _pattern: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pattern", _compile(self.text))

    def matches(self, value: str) -> bool:
        """Tell whether the whole value fits."""
        return self._pattern.fullmatch(value) is not None


class HostMatch(Value):
    """`host`: the value is a URL whose host fits one of these, in lower case."""

    globs: Globs


class MaxLength(Value):
    """`max_length`: the value is a string of at most so many characters."""

    characters: int


class InRange(Value):
    """`range`: the value is a number from `least` to `most`, both included; None is no bound."""

    least: int | float | None
    most: int | float | None


class Absent(Value):
    """`absent`: the argument is not given."""


Matcher: TypeAlias = OneOf | GlobMatch | Within | RegexMatch | HostMatch | MaxLength | InRange | Absent


class Argument(Value):
    """What a rule asks of one argument: all matchers hold. `pointer` is its place below the arguments (RFC 6901)."""

    pointer: tuple[str, ...]
    matchers: tuple[Matcher, ...]


class Match(Value):
    """What a rule speaks about: all that is set holds; of several globs, one."""

    server: Globs | None = None
    method: Globs | None = None
    tool: Globs | None = None
    uri: Globs | None = None
    prompt: Globs | None = None
    access: frozenset[Access] | None = None
    arguments: tuple[Argument, ...] = ()


class Rule(Value):
    """One rule; `line` is where it begins in the file, from 1. `reason` is the operator's own, or empty.

    `secrets` is what happens to credentials in the results of what it speaks about, None for what holds for all.
    """

    id: str
    match: Match
    effect: Effect
    reason: str
    line: int
    secrets: Secrets | None = None


class Limit(Value):
    """How often in how many seconds that may happen which `match` speaks about; `text` is how the rate was written."""

    match: Match
    count: int
    seconds: int
    text: str
    line: int


class Results(Value):
    """What a result may hold: at most so many bytes, None for no bound of its own, and credentials or not."""

    max_bytes: int | None = None
    secrets: Secrets = Secrets.PASS


class PinMode(Enum):
    """When a definition is trusted: as it was first seen, only once it is approved, or always."""

    FIRST_USE = "first_use"
    REQUIRE = "require"
    OFF = "off"


class Classification(Value):
    """The operator's word on tools: those that fit have this access."""

    access: Access
    tools: Globs


class Store(Enum):
    """Where a login is kept: a file of its owner alone, or the keyring of the desktop."""

    FILE = "file"
    KEYRING = "keyring"


class OAuth(Value):
    """`auth: oauth`: a person logs in, and the gateway holds the tokens.

    Without a `client_id` the gateway registers itself, or where `client_metadata_url` is set and the authorization
    server takes it, is known by that document. `client_secret` is an unresolved reference. `callback_port` is the
    port of the loopback address to which a browser returns. `store` is where the login is kept.
    """

    callback_port: int = 33418
    client_id: str | None = None
    client_secret: str | None = None
    client_metadata_url: str | None = None
    store: Store = Store.FILE


class Header(Value):
    """`auth: {header: …}`: these headers on each request; their values hold unresolved references."""

    headers: Mapping[str, str]


Auth: TypeAlias = OAuth | Header | None


class Upstream(Value):
    """One server: how it is started or where it is, and what its tools are.

    Without a `command` and a `url` it only classifies the server of that name. In `env` references such as
    `${env:NAME}` are unresolved. `timeout` is how many seconds a remote server may be silent before it has answered.
    """

    name: str
    command: tuple[str, ...] | None = None
    env: Mapping[str, str] = MappingProxyType[str, str]({})
    trust_annotations: bool = False
    access: tuple[Classification, ...] = ()
    url: str | None = None
    auth: Auth = None
    allow_private: bool = False
    timeout: float = 300.0

    def at(self, url: str, *, logs_in: bool) -> Upstream:
        """Return this upstream at an address, where a person logs in if that is said here or by `logs_in`."""
        auth = OAuth() if logs_in and not isinstance(self.auth, OAuth) else self.auth
        return replace(self, command=None, url=url, auth=auth)


class Defaults(Value):
    """What happens when no rule speaks."""

    read: Effect = Effect.ALLOW
    write: Effect = Effect.DENY
    client_request: Effect = Effect.DENY

    def effect(self, access: Access) -> Effect:
        """Return the effect for this access."""
        match access:
            case Access.READ:
                return self.read
            case Access.WRITE:
                return self.write
            case Access.CLIENT_REQUEST:
                return self.client_request


class Policy(Value, eq=False):
    """One policy file, equal only to itself.

    `source` names the file for a person; `editable` is the file that a person would change, another one only for the
    shipped policy. `sha256` is the hex digest of the file's bytes.
    `ask_seconds` is how long a person has for an answer: less than the minute for which hosts wait for a call.
    """

    source: str
    editable: str
    sha256: str
    defaults: Defaults = Defaults()
    trust_annotations: bool = False
    upstreams: Mapping[str, Upstream] = MappingProxyType[str, Upstream]({})
    rules: tuple[Rule, ...] = ()
    audit: AuditSettings = AuditSettings()
    limits: tuple[Limit, ...] = ()
    results: Results = Results()
    pins: PinMode = PinMode.FIRST_USE
    ask_seconds: float = 50.0

    def upstream(self, name: str) -> Upstream:
        """Return what the file says of a server, and of one that it does not name what holds for all."""
        return self.upstreams.get(name) or Upstream(name, trust_annotations=self.trust_annotations)


def _compile(expression: str) -> Any:
    """Compile an expression in which `.` is any character, so that a line break is no way past a rule.

    Raises:
        ValueError: it is none, in RE2's words.
    """
    import re2  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - only who has an expression pays for it

    engine = cast("Any", re2)
    options = engine.Options()
    options.dot_nl = True
    options.log_errors = False
    try:
        return engine.compile(expression, options)
    except engine.error as exc:
        raise ValueError(exc.args[0].decode("utf-8", "replace")) from exc
