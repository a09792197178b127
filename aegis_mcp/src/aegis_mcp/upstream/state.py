"""The state that goes with a login through the browser and back: bound to one upstream, one login and a time.

It is the nonce of that login in an envelope with an HMAC over it (RFC 6749 §10.12). Nothing that this machine has not
sent out is taken back, not for another upstream, and not later.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final, cast

from aegis_audit.value import Value
from aegis_mcp.errors import ConfigError, StateRefused

SECRET_VARIABLE: Final = "OAUTH_STATE_SECRET"  # noqa: S105 - the name, not the secret
MIN_SECRET: Final = 32
"""Characters of the shortest secret that is accepted."""
LIFETIME: Final = 300
"""Seconds for which a state is taken back."""

_DOMAIN: Final = b"aegis-mcp oauth state v1\x00"
_MAX_STATE: Final = 4096
_RECIPE: Final = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


class StateSecret(Value):
    """The secret under which states are sealed; it never shows itself."""

    _key: bytes

    def __repr__(self) -> str:
        return "StateSecret(…)"

    def seal(self, nonce: str, upstream: str, expires: int) -> str:
        """Return the envelope of a nonce for the login at `upstream`, good until `expires`, in seconds since 1970."""
        body = json.dumps({"e": expires, "n": nonce, "u": upstream}, separators=(",", ":")).encode("utf-8")
        return f"{_encode(body)}.{_encode(self._digest(body))}"

    def open(self, envelope: str, upstream: str, now: float) -> str:
        """Return the nonce of an envelope that was sealed for this upstream and has not expired.

        Raises:
            StateRefused: it was not, or it has.
        """
        body = self._verified(envelope)
        content = cast("dict[str, Any]", json.loads(body))  # ours, by its digest
        if content["u"] != upstream:
            raise StateRefused("it belongs to the login at another upstream")
        if content["e"] < now:
            raise StateRefused("it has expired")
        return cast("str", content["n"])

    def _verified(self, envelope: str) -> bytes:
        body, _, digest = envelope.partition(".")
        try:
            decoded = _decode(body)
            is_ours = len(envelope) <= _MAX_STATE and hmac.compare_digest(_decode(digest), self._digest(decoded))
        except (binascii.Error, ValueError) as exc:
            raise StateRefused("it is not one that Aegis has made") from exc
        if not is_ours:
            raise StateRefused("it is not one that Aegis has made under this secret")
        return decoded

    def _digest(self, body: bytes) -> bytes:
        return hmac.digest(self._key, _DOMAIN + body, hashlib.sha256)


def secret_from(environment: Mapping[str, str]) -> StateSecret:
    """Return the secret that the environment holds.

    Raises:
        ConfigError: there is none, or it is too short. The message never shows it.
    """
    text = environment.get(SECRET_VARIABLE, "")
    if len(text) < MIN_SECRET:
        found = f"has {len(text)} characters" if text else "is not set"
        raise ConfigError(
            f"{SECRET_VARIABLE} {found}, and an upstream with OAuth needs at least {MIN_SECRET} characters;"
            f" {_RECIPE}, and set it in the environment of aegis-mcp, where the host's configuration has `env`"
        )
    return StateSecret(text.encode("utf-8", "surrogateescape"))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
