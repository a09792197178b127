"""How a server may read a URI: two that are spelled differently can be one resource (RFC 3986 §6.2.2)."""

from __future__ import annotations

import posixpath
import re
from typing import Final
from urllib.parse import unquote

_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)(//[^/?#]*)?([^?#]*)(.*)", re.DOTALL)
# Unreserved characters mean the same escaped or not; an escaped "/" ends a name to whoever decodes first.
_NEEDLESS: Final = re.compile(r"%(2[DEF]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE)


def normal(uri: str) -> str:
    """Return a URI with scheme and host in lower case, without needless escapes, dot segments and double slashes."""
    match = _URI.fullmatch(uri)
    if match is None:
        return uri
    scheme, authority, path, rest = (part or "" for part in match.groups())
    scheme, authority = scheme.lower(), authority.lower()
    if scheme == "file:" and authority in {"", "//localhost"}:
        authority = "//"
    return scheme + authority + _plain(_NEEDLESS.sub(lambda found: chr(int(found[1], 16)), path)) + rest


def decoded(uri: str) -> str:
    """Return a URI without any escapes."""
    return unquote(uri)


def _plain(path: str) -> str:
    if "//" not in path and not {".", ".."} & {*path.split("/")}:
        return path
    root, end = "/" * path.startswith("/"), "/" * path.endswith("/")
    inner = posixpath.normpath(path).strip("/")
    return root + inner + (end if inner else "")
