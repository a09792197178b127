"""Every error of this package.

    GatewayError
    ├── ConfigError           wrong: what the operator gave; shown as it is, exit 2
    │   └── PolicyError       wrong: a policy file, with every mistake and its place
    ├── MalformedFrame        wrong: bytes that are not one JSON-RPC message
    ├── AnchorUnavailable     could not tell: a checkpoint could not be published outside the host
    ├── AuditUnavailable      could not tell: the log could not take entries in time
    ├── UpstreamUnavailable   could not tell: the upstream could not be started or is gone
    │   ├── UpstreamRefused       the upstream has answered what the gateway itself has asked with an error
    │   └── LoginNeeded           a remote upstream wants a person to log in
    └── LoginFailed           a person has tried to log in, and did not get in
        └── StateRefused          wrong: what came back from the browser is not the answer to our question

No message holds a secret: not an argument, not a value from the environment, not a token.
"""

from __future__ import annotations

from aegis_audit.value import Value


class GatewayError(Exception):
    """Root of what this package raises on purpose."""


class ConfigError(GatewayError):
    """What the operator gave cannot be used; the message says what to do."""


class Mistake(Value):
    """One mistake in a policy file; `line` and `column` count from 1."""

    line: int
    column: int
    message: str


class PolicyError(ConfigError):
    """A policy file with mistakes, all of them at once; `source` is the name of the file."""

    def __init__(self, source: str, mistakes: tuple[Mistake, ...]) -> None:
        self.source = source
        self.mistakes = mistakes
        super().__init__("\n".join(f"{source}:{m.line}:{m.column}: {m.message}" for m in mistakes))


class MalformedFrame(GatewayError):
    """Bytes that are not one JSON-RPC message; `reason` names the rule and never quotes the bytes.

    `request_id` is the id of what is a request in spite of what is wrong with it, for its sender waits for an answer.
    """

    def __init__(self, reason: str, request_id: str | int | None = None) -> None:
        self.reason = reason
        self.request_id = request_id
        super().__init__(reason)


class AnchorUnavailable(GatewayError):
    """A checkpoint could not be published outside the host."""


class AuditUnavailable(GatewayError):
    """The log could not take the entries: full, unwritable, locked, or too slow for the deadline."""


class UpstreamUnavailable(GatewayError):
    """The upstream could not be started, or is gone."""


class UpstreamRefused(UpstreamUnavailable):
    """The upstream has answered a request of the gateway's own with an error."""


class LoginNeeded(UpstreamUnavailable):
    """The remote upstream wants a person to log in; the message says how."""


class LoginFailed(GatewayError):
    """The login at a remote upstream was given up or refused."""


class StateRefused(LoginFailed):
    """The state that came back from the browser is not one that this login has sent out."""
