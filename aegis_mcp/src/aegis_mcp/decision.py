"""What is asked, and what policy says to it: the two values between which deciding is a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NamedTuple


class Word(Enum):
    """One of a closed set of words: a single object, which hashes as one. What `Enum` does instead calls Python."""

    __hash__ = object.__hash__


class Effect(Word):
    """What happens to a request; one that `is_lenient` lets it go on without anybody being asked.

    `ASK` lets a person decide; `MONITOR` lets pass and records what a denial in its place would have stopped.
    """

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"
    MONITOR = "monitor"

    def __init__(self, word: str) -> None:
        self.is_lenient: Final = word in {"allow", "monitor"}


class Secrets(Word):
    """What happens to credentials in a result: it passes as it is, without them, or not at all."""

    PASS = "pass"  # noqa: S105 - a word of the policy
    REDACT = "redact"
    REFUSE = "refuse"


class Consent(Word):
    """What came of asking a person: only `ACCEPT` lets a request go on.

    `CANCEL` is a person who closed the question, `WITHDRAWN` a request that was given up before an answer came,
    `FAILED` a host that cannot ask, or whose answer is none.
    """

    ACCEPT = "accept"
    DECLINE = "decline"
    CANCEL = "cancel"
    TIMEOUT = "timeout"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"


class Access(Word):
    """What a request can do: look, change something, or ask something of the host."""

    READ = "read"
    WRITE = "write"
    CLIENT_REQUEST = "client_request"


class AccessFrom(Word):
    """Who classified the access: the operator, the upstream's own hint, or nobody (then the method, else write)."""

    POLICY = "policy"
    ANNOTATION = "annotation"
    DEFAULT = "default"


_NONE: Final[Mapping[str, Any]] = {}


class Request(NamedTuple):
    """One request as policy sees it.

    At most one of `tool`, `uri` and `prompt` is set. What goes on with a task has the tool and the arguments of the
    call that made the task, if the gateway knows it. `read_only_hint` is what the upstream's listing says of the tool,
    None where it says nothing. `is_listed` is False only for a tool that a complete listing of the upstream lacks.
    `is_from_upstream` tells what an upstream asks of the host from what the host asks of an upstream.
    """

    server: str
    method: str
    tool: str | None = None
    uri: str | None = None
    prompt: str | None = None
    arguments: Mapping[str, Any] = _NONE
    read_only_hint: bool | None = None
    is_listed: bool = True
    is_from_upstream: bool = False


class Decision(NamedTuple):
    """The answer: `rule` is the id of the rule that decided or `defaults.<access>`, `reason` is for a person.

    `is_recorded` is False only for housekeeping that no rule names. `secrets` is what happens to credentials in the
    result, None where the rule leaves that to the policy.
    """

    effect: Effect
    rule: str
    reason: str
    access: Access
    access_from: AccessFrom
    is_recorded: bool = True
    secrets: Secrets | None = None
