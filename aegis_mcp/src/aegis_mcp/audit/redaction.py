"""What of a peer's words the log may keep: structure and keys always, secrets never.

A secret becomes `hmac-sha256:<key id>:<hex>`: the owner of the key can show later which value it was, the log alone
helps nobody to guess it. Redaction comes before everything else that is done with a value.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

from aegis_audit import canonical
from aegis_audit.errors import UnencodableValue
from aegis_audit.value import Value, field
from aegis_mcp.audit import credential
from aegis_mcp.errors import ConfigError
from aegis_mcp.settings import ArgumentMode

MAX_STRING: Final = 16 * 1024
"""Characters of the longest string that is kept, and looked into."""

MAX_NAME: Final = 200
"""Characters of the longest key that is kept."""

MAX_WEIGHT: Final = 128 * 1024
"""Characters, and values, of the arguments that are looked into; heavier ones are replaced by their hash."""

MAX_ENCODED: Final = 32 * 1024
"""Bytes of the arguments of one entry; what is larger is replaced by its hash."""

_MAX_NESTING: Final = 24
_DOMAIN: Final = b"aegis/redaction/v1\0"
_KEY_BYTES: Final = 32


class RedactionKey(Value):
    """The key of the digests: 32 bytes, named by the first 8 hex digits of its SHA-256."""

    _secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Return the name of the key."""
        return hashlib.sha256(self._secret).hexdigest()[:8]

    def digest(self, value: str) -> str:
        """Return what stands in the log for this value."""
        mac = hmac.new(self._secret, _DOMAIN + value.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"hmac-sha256:{self.id}:{mac.hexdigest()}"

    @classmethod
    def load_or_create(cls, path: Path) -> RedactionKey:
        """Read the key, or make one of mode 0600 where there is none.

        Raises:
            ConfigError: the file is a symlink, of another owner, readable by others, or not a key.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.path.lexists(path):
                _create(path)
            return cls(_read(path))
        except OSError as exc:
            raise ConfigError(f"the redaction key {str(path)!r} cannot be used: {exc.strerror}") from exc


def redact(value: object, *, mode: ArgumentMode, key: RedactionKey) -> object:
    """Return what the log keeps of a JSON value; it always fits in an entry."""
    if _weight(value, MAX_WEIGHT) < 0:
        return _omitted("too large", json.dumps(value))
    match mode:
        case ArgumentMode.NONE:
            return None
        case ArgumentMode.FULL:
            kept = _keep(value, lambda text, is_secret: text)  # noqa: ARG005 - nothing is secret here
        case ArgumentMode.HASHED:
            kept = _keep(value, lambda text, is_secret: key.digest(text))  # noqa: ARG005 - everything is
        case ArgumentMode.REDACTED:
            kept = _keep(
                value, lambda text, is_secret: key.digest(text) if is_secret else credential.replace(text, key.digest)
            )
    return _bounded(kept)


def encode(value: object, *, mode: ArgumentMode, key: RedactionKey) -> bytes:
    """Return the canonical JSON of what `redact` returns.

    Most arguments hold nothing that has to be replaced, and a look at all of their bytes at once says so.
    """
    if mode is ArgumentMode.REDACTED:
        # In so few bytes no name and no string is too long.
        encoded = canonical.encode_small(value, MAX_NAME, _MAX_NESTING)
        if encoded and not credential.may_be_in(encoded):
            return encoded
    return canonical.encode(redact(value, mode=mode, key=key))


def scrub(text: str) -> str:
    """Return text for an entry, an error or a reason, without what looks like a credential."""
    return credential.replace(text, lambda _: "[redacted]")


def _keep(
    value: object, leaf: Callable[[str, bool], str], *, is_secret: bool = False, nesting: int = _MAX_NESTING
) -> object:
    """Copy a JSON value, passing every leaf through `leaf` with whether it stands under the name of a secret."""
    if isinstance(value, str):
        return leaf(value, is_secret) if len(value) <= MAX_STRING else _omitted("too long", value)
    if isinstance(value, (bool, type(None))):
        return value
    if isinstance(value, (int, float)):
        return _keep_number(value, leaf, is_secret=is_secret)
    if not nesting:
        return _omitted("nested too deep", json.dumps(value))
    if isinstance(value, list):
        items = cast("list[object]", value)
        return [
            _keep(item, leaf, is_secret=is_secret or credential.is_secret_option(before), nesting=nesting - 1)
            for before, item in zip([None, *items], items, strict=False)
        ]
    members = cast("Mapping[str, object]", value)
    secret = credential.secret_names(members)
    return {
        _keep_name(name, leaf): _keep(item, leaf, is_secret=is_secret or name in secret, nesting=nesting - 1)
        for name, item in members.items()
    }


def _weight(value: object, left: int) -> int:
    """Return what is left of so many characters after those of a value; below 0 it is too heavy to look into."""
    stack = [value]
    while stack and left >= 0:
        item = stack.pop()
        if isinstance(item, str):
            left -= len(item)
        elif isinstance(item, list):
            stack.extend(cast("list[object]", item))
        elif isinstance(item, dict):
            stack.extend(cast("dict[str, object]", item))
            stack.extend(cast("dict[str, object]", item).values())
        left -= 1
    return left


def _keep_name(name: str, leaf: Callable[[str, bool], str]) -> str:
    # A name may itself be a credential: a map of tokens to what they may do.
    return (
        credential.replace(name, lambda found: leaf(found, True))
        if len(name) <= MAX_NAME
        else leaf(name, True)[:MAX_NAME]
    )


def _keep_number(value: float, leaf: Callable[[str, bool], str], *, is_secret: bool) -> object:
    text = json.dumps(value)
    kept = leaf(text, is_secret)
    if kept != text:
        return kept
    return _omitted("beyond 2^53-1", text) if isinstance(value, int) and abs(value) > canonical.MAX_INTEGER else value


def _bounded(value: object) -> object:
    """Return the value if an entry can hold it, else its hash."""
    try:
        encoded = canonical.encode(value)
    except UnencodableValue as exc:
        return _omitted(str(exc)[:100], json.dumps(value))
    return value if len(encoded) <= MAX_ENCODED else _omitted("too large", encoded.decode("utf-8"))


def _omitted(reason: str, text: str) -> dict[str, object]:
    raw = text.encode("utf-8", "surrogatepass")
    return {"bytes": len(raw), "omitted": reason, "sha256": hashlib.sha256(raw).hexdigest()}


def _create(path: Path) -> None:
    """Make a key, whole from the first moment on that the path exists; another process may be quicker."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if sys.platform != "win32" and (state.st_uid != os.geteuid() or stat.S_IMODE(state.st_mode) & 0o077):
            raise ConfigError(f"the redaction key {str(path)!r} can be read by others; chmod 600 it, or remove it")
        text = file.read(2 * _KEY_BYTES + 2)
    if not _KEY.fullmatch(text):
        raise ConfigError(f"{str(path)!r} is not a redaction key; move it away, and a new one is made")
    return bytes.fromhex(text.decode("ascii"))


_KEY: Final = re.compile(rb"[0-9a-f]{64}\n")
