"""What of an answer reaches the host: at most so many bytes, and credentials or not, as policy says.

Binary content (`data` of images and audio, `blob` of resources) is not looked into: it is no text, and chance makes
anything look like a credential in it.
"""

from __future__ import annotations

from typing import Any, Final, cast

from aegis_audit.value import Value
from aegis_mcp import frame as frames
from aegis_mcp.audit import credential
from aegis_mcp.decision import Secrets
from aegis_mcp.frame import Frame
from aegis_mcp.policy.model import Results

_CREDENTIAL: Final = "the answer holds what looks like a credential; `secrets: redact` would replace it"
_STAND_IN: Final = "[redacted]"
# What the protocol has sent back as it came, and what names things rather than says something.
_VERBATIM: Final = frozenset({"_meta", "blob", "mimeType", "nextCursor", "requestState", "resultType", "taskId", "uri"})
_OWN: Final = "structuredContent"
"""Below this the names are the server's own, and mean nothing to the protocol."""
_BINARY: Final = ("image", "audio")  # no set: what a server says of the type may be of any


class Inspection(Value):
    """What is left of an answer: its bytes, how many credentials are gone, and why it must not reach the host."""

    raw: bytes
    redacted: int = 0
    refusal: str = ""


def inspect(frame: Frame, results: Results, secrets: Secrets) -> Inspection:
    """Look into an answer; its bytes are those that came unless a credential is replaced."""
    if results.max_bytes is not None and len(frame.raw) > results.max_bytes:
        refusal = f"the answer has {len(frame.raw)} bytes, and `results.max_bytes` is {results.max_bytes}"
        return Inspection(frame.raw, refusal=refusal)
    if secrets is Secrets.PASS:
        return Inspection(frame.raw)
    sweep = _Sweep()
    swept = {
        name: sweep.swept(value) if name in {"result", "error"} else value for name, value in frame.message.items()
    }
    if not sweep.found:
        return Inspection(frame.raw)
    if secrets is Secrets.REFUSE:
        return Inspection(frame.raw, refusal=_CREDENTIAL)
    return Inspection(frames.dump(swept), sweep.found)


class _Sweep:
    """One pass over an answer; `found` counts the credentials."""

    def __init__(self) -> None:
        self.found = 0

    def swept(self, value: Any, *, is_secret: bool = False, is_own: bool = False) -> Any:
        """Return a JSON value without its credentials; `is_secret` where it stands under the name of one."""
        if isinstance(value, str):
            return self._stand_in(value) if is_secret and value else credential.replace(value, self._stand_in)
        if isinstance(value, list):
            items = cast("list[Any]", value)
            return [self.swept(item, is_secret=is_secret, is_own=is_own) for item in items]
        if isinstance(value, dict):
            return self._members(cast("dict[str, Any]", value), is_secret=is_secret, is_own=is_own)
        return value

    def _members(self, members: dict[str, Any], *, is_secret: bool, is_own: bool) -> dict[str, Any]:
        binary = {"data"} if members.get("type") in _BINARY else set[str]()
        kept = frozenset[str]() if is_own else _VERBATIM | binary
        secret = credential.secret_names(members)
        return {
            # A name may itself be a credential: a map of tokens to what they may do.
            name if name in kept else credential.replace(name, self._stand_in): value
            if name in kept
            else self.swept(value, is_secret=is_secret or name in secret, is_own=is_own or name == _OWN)
            for name, value in members.items()
        }

    def _stand_in(self, found: str) -> str:
        if found == _STAND_IN:
            return found
        self.found += 1
        return _STAND_IN
