"""Whether a rule speaks about a request.

Every matcher answers yes, no, or None: it holds in part, or nobody can tell. A rule that allows needs a yes; a rule
that denies needs no more than the absence of a no. So a value that cannot be judged is never a way around a rule.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final, TypeAlias, assert_never, cast

from aegis_mcp.decision import Access, Request
from aegis_mcp.policy import uris
from aegis_mcp.policy.model import (
    Absent,
    Argument,
    GlobMatch,
    Globs,
    HostMatch,
    InRange,
    JsonScalar,
    Match,
    Matcher,
    MaxLength,
    OneOf,
    RegexMatch,
    Within,
)

Truth: TypeAlias = bool | None

# What servers are known to strip off a path before they use it: what is left may be a link that was never looked at.
_STRIPPED: Final = "\"'\ufeff"
# What each process sees differently: `/proc/self/cwd` of the gateway is not that of the server.
_PRIVATE: Final = re.compile(r"//?(proc|dev/fd|dev/std(in|out|err))(/|$)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
# Neither a user before the host, nor a backslash, nor anything that one reader decodes and another does not.
_URL: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++)*+\.?|\[[0-9A-Fa-f:.]+\])"
    r"(?::[0-9]{1,5})?(?:[/?#][!-\[\]-~]*)?"
)
# What ends so is an address to the URL standard, in whichever of its many spellings: 127.1, 2130706433, 0x7f000001.
_ADDRESS: Final = re.compile(r"[0-9]+|0x[0-9a-f]*|.*:.*")
ABSENT: Final = object()
"""What `find` returns where nothing is."""

MAX_ITEMS: Final = 10_000
"""Items of the longest list that is looked at."""

MAX_LISTING: Final = 256 * 1024
"""Characters of the longest list in JSON inside a text that is looked at."""

MAX_PATH: Final = 4096
"""Characters of the longest path that is looked at: to resolve one takes time with the square of its length."""


def is_about(match: Match, server: str, method: str, tool: str | None, access: Access) -> bool:
    """Tell whether a rule can speak about such requests at all, whatever their arguments, URI and prompt."""
    return (
        _fits(match.tool, tool)
        and _fits(match.server, server)
        and _fits(match.method, method)
        and (match.access is None or access in match.access)
    )


def may_apply(match: Match, request: Request) -> Truth:
    """Tell whether a rule that is about such requests applies whatever the arguments are, None if they decide.

    A request without a URI stands for one with any, as a resource template does.
    """
    if match.uri is not None and request.tool is request.uri is request.prompt is None:
        return None
    if not (_fits(match.uri, request.uri) and _fits(match.prompt, request.prompt)):
        return False
    return None if match.arguments else True


def applies(match: Match, request: Request) -> Truth:
    """Tell whether a rule that is about such requests applies to this one, None if nobody can tell.

    A path is resolved on the file system as it is now; nothing is changed.
    """
    if not _fits(match.prompt, request.prompt):
        return False
    about = _uri_fits(match.uri, request.uri)
    return about and _all((about, *(_argument_fits(argument, request.arguments) for argument in match.arguments)))


def _fits(globs: Globs | None, name: str | None) -> bool:
    if globs is None:
        return True
    return name is not None and any(glob.matches(name) for glob in globs)


def _uri_fits(globs: Globs | None, uri: str | None) -> Truth:
    """Tell whether a URI fits in every way in which a server may read it, None if only in some."""
    if globs is None or (uri is not None and any(glob.is_literal and glob.text == uri for glob in globs)):
        return True
    if uri is None:
        return False
    if len(uri) > uris.MAX_URI:
        return None
    fits = _agreed(_fits(globs, reading) for reading in uris.readings(uri))
    is_doubtful = fits is False and any(_fits(globs, reading) for reading in uris.loose_readings(uri))
    return None if is_doubtful else fits


def _all(truths: Iterable[Truth]) -> Truth:
    """Return the conjunction: no if anything is a no, else None if anything is None (Kleene's strong logic)."""
    result: Truth = True
    for truth in truths:
        if truth is False:
            return False
        result = result and truth
    return result


def _agreed(truths: Iterable[Truth]) -> Truth:
    """Return what all say alike, None if they differ or there are none."""
    said = set(truths)
    return said.pop() if len(said) == 1 else None


def _argument_fits(argument: Argument, arguments: Mapping[str, Any]) -> Truth:
    around = [find(arguments, argument.pointer[:depth]) for depth in range(len(argument.pointer))]
    if any(map(_is_ambiguous, around, argument.pointer)):
        return None
    value = find(arguments, argument.pointer)
    if argument.matchers == (Absent(),):
        # Many servers take null for an argument that is not given.
        return None if value is None else value is ABSENT
    if value is ABSENT or value == []:
        return False
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    if len(values) > MAX_ITEMS:
        return None
    fits = _agreed(_all_hold(argument.matchers, one) for one in values)
    return None if fits is False and _may_list_one(argument.matchers, value) else fits


def _all_hold(matchers: Sequence[Matcher], value: Any) -> Truth:
    return _all(_holds(matcher, value) for matcher in matchers)


def _is_ambiguous(around: Any, token: str) -> bool:
    """Tell whether what is on the way to an argument holds another one that a server may take for it.

    A member whose name differs only in case is the one which is meant to servers that match names without regard to
    case (Go's `encoding/json`); and a text is JSON to those which expect a list or an object (the Python SDK).
    """
    if isinstance(around, Mapping):
        names = cast("Mapping[str, Any]", around)
        return any(name != token and name.casefold() == token.casefold() for name in names)
    return isinstance(around, str)


def _may_list_one(matchers: Sequence[Matcher], value: Any) -> bool:
    """Tell whether a text may be a list in JSON with an item for which the matchers hold."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return False
    if len(value) > MAX_LISTING:
        return True
    try:
        items = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return len(items) > MAX_ITEMS or any(_all_hold(matchers, item) for item in items)


def find(value: Any, pointer: Sequence[str]) -> Any:
    """Return what is at this place (RFC 6901 §4), or `ABSENT`."""
    for token in pointer:
        if isinstance(value, Mapping):
            value = cast("Mapping[str, Any]", value).get(token, ABSENT)
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            value = items[int(token)] if _INDEX.fullmatch(token) and int(token) < len(items) else ABSENT
        else:
            return ABSENT
    return value


def _holds(matcher: Matcher, value: Any) -> Truth:
    match matcher:
        case OneOf(values):
            return _is_one_of(value, values)
        case InRange(least, most):
            return _is_in_range(value, least, most)
        case Absent():
            return False  # of a value that is there
        case _:
            return _holds_for_text(matcher, value) if isinstance(value, str) else None


def _holds_for_text(matcher: GlobMatch | Within | RegexMatch | HostMatch | MaxLength, value: str) -> Truth:
    match matcher:
        case GlobMatch(globs):
            return _fits(globs, value)
        case Within(directories):
            return _is_within(value, directories)
        case RegexMatch():
            return matcher.matches(value)
        case HostMatch(globs):
            host = _host(value)
            return _fits(globs, host) if host else None
        case MaxLength(characters):
            return len(value) <= characters
        case _:
            assert_never(matcher)


def _is_one_of(value: Any, values: Sequence[JsonScalar]) -> Truth:
    """Tell whether a value is one of these, None if it is of a type that none of them has.

    Many servers turn the text `"true"`, or 1, into what they expect; null is to them what is not given.
    """
    if isinstance(value, (list, Mapping)):
        return None
    # To Python True is 1; to JSON it is not.
    alike = [one for one in values if _type_of(one) is _type_of(value)]
    is_told = alike or value is None or all(one is None for one in values)
    return value in alike if is_told else None


def _type_of(value: JsonScalar) -> type:
    return float if type(value) is int else type(value)


def _is_in_range(value: Any, least: float | None, most: float | None) -> Truth:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return (least is None or value >= least) and (most is None or value <= most)


def _host(url: str) -> str | None:
    """Return the host of a URL that all readers take for the same: in lower case, without brackets and final dot.

    Of the spellings of an address it is the one that everybody writes.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return None
    host = match[1].lower().strip("[]").removesuffix(".")
    return host if not _ADDRESS.fullmatch(host, host.rfind(".") + 1) or _is_address(host) else None


def _is_address(host: str) -> bool:
    from ipaddress import IPv6Address, ip_address  # noqa: PLC0415 - only who names an address pays for it

    try:
        address = ip_address(host)
    except ValueError:
        return False
    # An IPv4 address in the clothes of one of IPv6 is two hosts to a rule, and one to the network.
    return str(address) == host and not (isinstance(address, IPv6Address) and address.ipv4_mapped)


def _is_within(path: str, directories: Sequence[str]) -> Truth:
    """Tell whether a path is in one of the directories: None if it cannot be told.

    A server may take `link/..` as the directory of the link or of what the link points to, so both count.
    """
    if not _is_plain(path):
        return None
    readings = {path, os.path.normpath(path)} if ".." in PurePath(path).parts else {path}
    try:
        return _agreed(_is_below(_resolve(reading), directories) for reading in readings)
    except (OSError, ValueError):
        return None


def _is_plain(path: str) -> bool:
    """Tell whether every process takes this text for the same absolute path."""
    if len(path) > MAX_PATH:
        return False
    is_stripped = path.strip().strip(_STRIPPED) == path
    is_shared = not _PRIVATE.match(os.path.normpath(path))
    return is_stripped and is_shared and not _CONTROL.search(path) and PurePath(path).is_absolute()


def _resolve(path: str) -> str:
    """Return the path without links and `..`; what does not exist yet is resolved through its parents.

    Raises:
        OSError: the way there cannot be followed: a loop, no permission, a name that is too long.
    """
    resolved = os.path.realpath(path)
    _identity(resolved)
    return resolved


def _is_below(path: str, directories: Sequence[str]) -> bool:
    """Tell whether a resolved path is one of the directories or below one, by its text or by what the file system says.

    Where case or normalization is ignored (macOS, Windows), one directory has many names.
    """
    if any(path == directory or path.startswith(os.path.join(directory, "")) for directory in directories):  # noqa: PTH118
        return True
    identities = {_identity(directory) for directory in directories} - {None}
    return any(_identity(str(place)) in identities for place in (path, *PurePath(path).parents))


def _identity(path: str) -> tuple[int, int] | None:
    """Return the device and the file number of what is at a path, None if nothing is."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a text, which a Path would only parse again
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
