"""The canonical form of JSON: RFC 8785 over the I-JSON profile (RFC 7493) that the log uses.

Two encoders, one result: `orjson` where its output is known to be the canonical one, `rfc8785` for the rest.
A property test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import orjson

from aegis_audit.errors import UnencodableValue

MAX_NESTING: Final = 32
"""How deep objects and arrays of one entry may nest; the entry itself is level 1 (audit-log §2)."""

MAX_INTEGER: Final = 2**53 - 1
"""The widest integer that every JSON reader keeps exactly (RFC 7493 §2.2)."""

_LEAST_EXPONENT: Final = 1e21
"""The least number that RFC 8785 writes with an exponent (ECMA-262, Number::toString)."""

_ORJSON_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_LEAVES: Final = frozenset({str, int, bool, type(None)})


def encode(value: object) -> bytes:
    """Return the canonical bytes of a JSON value made of dict, list, str, int, float, bool and None.

    Raises:
        UnencodableValue: the value has no canonical form, or nests deeper than `MAX_NESTING`.
    """
    if is_plain(value):
        try:
            return orjson.dumps(value, option=_ORJSON_OPTIONS)
        except orjson.JSONEncodeError as exc:
            raise UnencodableValue(str(exc)) from exc
    import rfc8785  # noqa: PLC0415 - few processes ever meet such a value

    try:
        return rfc8785.dumps(cast("Any", value))
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as exc:
        raise UnencodableValue(str(exc)) from exc


def encode_small(value: object, most: int, nesting: int) -> bytes | None:
    """Return the canonical bytes of a plain value, at most so many and nested so deep; None for every other value."""
    try:
        encoded = orjson.dumps(value, option=_ORJSON_OPTIONS)
        return encoded if len(encoded) <= most and is_plain(value, nesting) else None
    except (orjson.JSONEncodeError, UnencodableValue):
        return None


class Template:
    """An object in canonical form of which some members are still to come: what is always the same is encoded once."""

    def __init__(self, members: Mapping[str, object], holes: Iterable[str]) -> None:
        """Take the members that are known, and the names of those that are not, all in ASCII.

        Raises:
            UnencodableValue: the known members have no canonical form.
        """
        texts, separator = [b"{"], b""
        for name in sorted({*members, *holes}):
            texts[-1] += separator + encode(name) + b":"
            separator = b","
            if name in members:
                texts[-1] += encode(members[name])
            else:
                texts.append(b"")
        texts[-1] += b"}"
        self._parts = [part for text in texts for part in (text, b"")][:-1]

    def fill(self, *values: bytes) -> bytes:
        """Return the whole object; `values` are in canonical form, in the order of the names of the holes."""
        parts = self._parts.copy()
        parts[1::2] = values
        return b"".join(parts)


def is_plain(value: object, nesting: int = MAX_NESTING) -> bool:
    """Tell whether `orjson` writes this value in canonical form: keys in ASCII, no float.

    Beyond ASCII, RFC 8785 sorts keys by UTF-16 units and orjson by code points; and the two write floats differently.

    Raises:
        UnencodableValue: the value nests deeper than `nesting` levels, or holds a float that looks like a wide integer.
    """
    if type(value) is dict:
        members = cast("dict[str, object]", value)
        inner, plain = members.values(), "".join(members).isascii()
    elif type(value) is list:
        inner, plain = cast("list[object]", value), True
    else:
        _refuse_wide_float(value)
        return type(value) in _LEAVES
    if not nesting:
        raise UnencodableValue(f"nesting deeper than {MAX_NESTING}")
    if _LEAVES.issuperset(map(type, inner)):
        return plain
    # Every branch is walked even after the answer is known: the walk is also what bounds the nesting.
    for one in inner:
        if type(one) not in _LEAVES and not is_plain(one, nesting - 1):
            plain = False
    return plain


def _refuse_wide_float(value: object) -> None:
    # RFC 8785 writes it in digits alone, and what has no point and no exponent is an integer to every reader.
    if type(value) is float and MAX_INTEGER < abs(value) < _LEAST_EXPONENT:
        raise UnencodableValue(f"{value} is written as an integer beyond 2^53-1")
