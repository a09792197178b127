"""Where a remote server is and how the gateway shows who it is, read from a policy file."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final
from urllib.parse import SplitResult, urlsplit

from aegis_mcp.loopback import is_loopback
from aegis_mcp.policy.fields import Fields
from aegis_mcp.policy.located import Located, Mapping, Scalar
from aegis_mcp.policy.model import Auth, Header, OAuth, Store

REMOTE: Final = ("url", "auth", "allow_private", "timeout")
"""The keys of an upstream that concern its address."""

_LONGEST_SILENCE: Final = 3600
# Compiled by the first policy that has such a text: most have no remote server.
_REFERENCE: Final = r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}|\$\{keyring:[^/{}]+/[^{}]+\}"
_PRINTABLE: Final = r"[\x21-\x7e]+"
_HEADER_NAME: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
# What the transport itself says on each request.
_OWN_HEADERS: Final = frozenset({"accept", "accept-encoding", "connection", "content-length", "content-type", "host"})
_OWN_PREFIX: Final = "mcp-"
_SECRET_HEADER: Final = "auth|cookie|key|secret|token"  # noqa: S105 - what names one


class Endpoints(Fields):
    """Reads addresses and credentials of remote servers."""

    def remote(self, given: dict[str, Located]) -> tuple[str | None, Auth, bool, float]:
        """Read what an upstream says of its address: URL, auth, whether it may be private, seconds of silence."""
        for name in ("command", "env"):
            if "url" in given and name in given:
                self.note(given[name], f"an upstream has a `url` or a `command`, not both; `{name}` is for a command")
        return (
            self._url(given["url"]) if "url" in given else None,
            self._auth(given["auth"]) if "auth" in given else None,
            self.flag(given.get("allow_private")),
            self.seconds(given.get("timeout"), 300.0, _LONGEST_SILENCE),
        )

    def reference(self, where: Located) -> str:
        """Read a text that may refer to a secret; the references stay as they are."""
        value = self.text(where)
        if "${" in re.sub(_REFERENCE, "", value):
            self.note(where, "a reference must have the form ${env:NAME} or ${keyring:SERVICE/NAME}")
        return value

    def _url(self, where: Located) -> str:
        text = self.text(where)
        if mistake := url_mistake(text):
            self.note(where, mistake)
        return text

    def _auth(self, where: Located) -> Auth:
        if isinstance(where, Mapping):
            given = self.members(where, ("oauth", "header"))
            if len(given) != 1:
                self.note(where, "`auth` is one of oauth, none, {oauth: …} and {header: …}")
            return self._header(given["header"]) if "header" in given else self._oauth(given.get("oauth"))
        word = where.text if isinstance(where, Scalar) else ""
        if word not in {"oauth", "none"}:
            self.note(where, "`auth` is one of oauth, none, {oauth: …} and {header: …}")
        return OAuth() if word == "oauth" else None

    def _oauth(self, where: Located | None) -> OAuth:
        given = self.members(where, ("callback_port", "client_id", "client_secret", "client_metadata_url", "store"))
        if "client_secret" in given and "client_id" not in given:
            self.note(given["client_secret"], "a `client_secret` belongs to a `client_id`, which is missing")
        if "client_metadata_url" in given and "client_id" in given:
            self.note(given["client_metadata_url"], "a client has a `client_id` or a `client_metadata_url`, not both")
        return OAuth(
            self._port(given["callback_port"]) if "callback_port" in given else OAuth().callback_port,
            self.text(given["client_id"]) if "client_id" in given else None,
            self._secret(given["client_secret"]) if "client_secret" in given else None,
            self._document(given["client_metadata_url"]) if "client_metadata_url" in given else None,
            self.choice(given.get("store"), Store, Store.FILE),
        )

    def _header(self, where: Located) -> Header:
        headers: dict[str, str] = {}
        for name, at, value in self.named(where):
            folded = name.casefold()
            if not re.fullmatch(_HEADER_NAME, name):
                self.note(at, f"{name[:60]!r} is no name of a header")
            elif folded in _OWN_HEADERS or folded.startswith(_OWN_PREFIX):
                self.note(at, f"the header {name!r} belongs to the protocol")
            headers[name] = self._secret(value) if re.search(_SECRET_HEADER, folded) else self.reference(value)
        if not headers:
            self.note(where, "`header` needs at least one name and value")
        return Header(MappingProxyType(headers))

    def _secret(self, where: Located) -> str:
        value = self.reference(where)
        if "${" not in value:
            message = "a secret does not belong into this file; refer to it with ${env:NAME} or ${keyring:SERVICE/NAME}"
            self.note(where, message)
        return value

    def _port(self, where: Located) -> int:
        number = self.number(where)
        if not isinstance(number, int) or not 1024 <= number <= 65535:
            self.note(where, "this must be a port, from 1024 to 65535")
            return OAuth().callback_port
        return number

    def _document(self, where: Located) -> str:
        text = self.text(where)
        parts = _split(text)
        if parts is None or parts.scheme != "https" or parts.path in {"", "/"} or parts.fragment or parts.query:
            self.note(where, "this must be the https URL of a document, with a path (Client ID Metadata Document)")
        return text


def url_mistake(text: str) -> str | None:
    """Say why a text cannot be the address of a remote server, None if it can."""
    parts = _split(text)
    if parts is None or parts.scheme not in {"https", "http"} or not parts.hostname:
        return "this must be a URL of the form https://host.example/path"
    if parts.username is not None or parts.password is not None:
        return "a URL with a user or a password in it would be shown and recorded; use `auth`"
    if parts.fragment:
        return "a URL with a # names a part of a page, not a server"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return "http:// is only for this machine (localhost, 127.0.0.1, [::1]); use https://"
    return None


def _split(text: str) -> SplitResult | None:
    if not re.fullmatch(_PRINTABLE, text) or "\\" in text:
        return None
    try:
        parts = urlsplit(text)
        has_port = parts.port != 0
    except ValueError:  # a port that is none, a bracket too many
        return None
    return parts if has_port else None
