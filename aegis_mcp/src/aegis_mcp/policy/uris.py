"""How a server may read a URI: two that are spelled differently can be one resource (RFC 3986 §6.2.2).

Some read it as RFC 3986 has it, some as the URL standard has it, and some cut off the scheme and take the rest for a
path. They differ most where `..` leads up, and that is where it matters.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

MAX_URI: Final = 16 * 1024
"""Characters of the longest URI that is worth reading in every way."""

_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)(//[^/?#]*)?([^?#]*)(.*)", re.DOTALL)
# Unreserved characters mean the same escaped or not; an escaped slash ends a name to whoever decodes first.
_NEEDLESS: Final = re.compile(r"%(2[DEF]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5[CF]|7E)", re.IGNORECASE)
# What the URL standard (WHATWG) has readers drop: around a URL, and anywhere in it.
_AROUND: Final = "".join(map(chr, range(0x21)))
_DROPPED: Final = str.maketrans(dict.fromkeys("\t\n\r"))


# Every rule about URIs asks for the same ones.
@lru_cache(maxsize=16)
def readings(uri: str) -> frozenset[str]:
    """Return the ways in which servers read a URI, itself among them.

    Without what makes no difference to them: the case of scheme and host, needless escapes, dot segments, double
    slashes, backslashes for slashes. Where `..` leads up, also with all that comes after the scheme as one path.
    """
    found = {uri}
    for scheme, authority, path, rest in _divisions(uri):
        found.update(scheme + authority + plain + rest for plain in _plain(path))
        whole = f"{authority[2:]}{path}{rest}"
        if ".." in whole or "%2e" in whole.lower():
            found.update(scheme + authority[:2] + plain for plain in _plain(whole))
    return frozenset(found)


@lru_cache(maxsize=16)
def loose_readings(uri: str) -> frozenset[str]:
    """Return the ways in which others read it as well: without any escapes, and a file without scheme or host."""
    found = set(readings(uri))
    for scheme, _, path, _ in _divisions(uri):
        if scheme in {"", "file:"} and path.startswith("/"):
            found.update(f"file://{plain}" for plain in _plain(path))
    return frozenset(found.union(map(unquote, found)))


def _divisions(uri: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield scheme, authority, path, and what comes after it; only a path where that is no URI."""
    clean = uri.strip(_AROUND).translate(_DROPPED)
    for text in {uri, clean, clean.replace("\\", "/")}:
        match = _URI.fullmatch(text)
        scheme, authority, path, rest = (part or "" for part in match.groups()) if match else ("", "", text, "")
        scheme, authority = scheme.lower(), authority.lower()
        if scheme == "file:" and authority in {"", "//localhost"}:
            authority, path = "//", path if path.startswith("/") else f"/{path}"
        yield scheme, authority, path, rest


def _plain(path: str) -> set[str]:
    """Return a path without needless escapes, dot segments and double slashes, in each order of doing so."""
    unescaped = _NEEDLESS.sub(lambda found: chr(int(found[1], 16)), path)
    spellings = {path, unescaped, unescaped.replace("\\", "/")}
    return {_normal(spelling) for spelling in spellings | {_popped(spelling) for spelling in spellings}}


def _normal(path: str) -> str:
    """Return a path as POSIX has it: two slashes are one."""
    if "//" not in path and not {".", ".."} & {*path.split("/")}:
        return path
    root, end = "/" * path.startswith("/"), "/" * path.endswith("/")
    inner = posixpath.normpath(path).strip("/")
    return root + inner + (end if inner else "")


def _popped(path: str) -> str:
    """Return a path without dot segments as URLs have it: there is an empty name between two slashes."""
    kept: list[str] = []
    for name in path.split("/"):
        if name != "..":
            kept.append(name)
        elif len(kept) > 1:
            kept.pop()
    return "/".join(kept)
