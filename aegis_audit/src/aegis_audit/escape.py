"""Text from a log, made safe to show.

Whoever can call a tool chooses text that lands in a log, and an auditor's terminal would obey it: cursor movement, a
title, text that reads from right to left, letters that cannot be seen. What comes out of here is printable characters
and spaces on one line.
"""

from __future__ import annotations

import re
from typing import Final

# `str.isprintable` refuses controls, format characters (bidi, zero-width), surrogates, private and unassigned code
# points and every separator but the space. It lets pass the rest of Unicode's Default_Ignorable_Code_Point, and a blank
# of Braille, which show nothing; and accents without end on one letter, which cover the lines around it.
_INVISIBLE: Final = (
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_ACCENT: Final = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
# Most texts are ASCII: the first that is not has it compiled.
_DECEPTIVE: Final = f"{_INVISIBLE}|(?<={_ACCENT}{{2}}){_ACCENT}"
_BEYOND_ASCII: Final = re.compile(r"[^ -~\n]")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str) -> str:
    r"""Return `text` with what does not show as itself as `\n`, `\r`, `\t`, `\xNN`, `\uNNNN` or `\UNNNNNNNN`.

    A backslash is doubled, so that the original can be told from the result.
    """
    return defuse(text.replace("\\", "\\\\"))


def defuse(text: str) -> str:
    """Return `text` as `escape` does, but with backslashes as they are: for a message that quotes what it cites."""
    if not text.isascii():
        text = re.sub(_DECEPTIVE, lambda match: _code(match[0]), text)
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _code(character) for character in text)


def escape_json(text: str) -> str:
    r"""Return JSON text with every character beyond printable ASCII as `\uNNNN`: the same value, and harmless.

    Such characters stand in JSON in strings alone, so that all else stays as it is. Line ends stay too.
    """
    return _BEYOND_ASCII.sub(_json_code, text)


def _json_code(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return _SHORT.get(character, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
