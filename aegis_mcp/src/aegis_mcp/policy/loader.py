"""From a policy file to a `Policy`: every mistake at once, each with its line and column.

What is not understood is refused, never passed over: an unknown key, a key twice, a value of another type, a word that
YAML 1.1 reads as something else. Anchors, aliases and tags are refused; the file is data.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Any, Final, cast

import yaml
from yaml.constructor import SafeConstructor
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from aegis_mcp import settings
from aegis_mcp.errors import ConfigError, Mistake, PolicyError
from aegis_mcp.policy import schema
from aegis_mcp.policy.located import Listing, Located, Mapping, Mistakes, Place, Scalar
from aegis_mcp.policy.model import JsonScalar, Policy

_PLAIN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null"))
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?[eE][+-]?[0-9]+")
_HINTS: Final = {
    "while scanning an alias": "; a text that begins with * needs quotes",
    "while scanning an anchor": "; a text that begins with & needs quotes",
    "'\\t' that cannot start": "; indent with spaces",
    "that cannot start any token": "; a text that begins so needs quotes",
}
MAX_NESTING: Final = 32
MAX_FILE: Final = 256 * 1024
"""Bytes of the largest policy file."""


def chosen(path: Path | None) -> Policy:
    """Return the policy at `path`; without one that of the operator's own place, if it is there; else the shipped one.

    Raises:
        ConfigError: what `read` says.
    """
    if path is not None:
        return read(path)
    own = settings.default_policy()
    # A link that leads nowhere was meant to be a policy: to pass over it would be to serve under another one.
    return read(own) if os.path.lexists(own) else shipped()


def read(path: Path) -> Policy:
    """Read the policy at `path`; a leading `~` is the home directory.

    Raises:
        PolicyError: the file has mistakes.
        ConfigError: it cannot be read.
    """
    remedy = "give the path of a policy file with --policy or AEGIS_POLICY, or leave both out"
    return load(*content(path, "policy", remedy))


def content(path: Path, what: str, remedy: str) -> tuple[bytes, str]:
    """Return the bytes of a file, at most one more than `MAX_FILE`, and its name as it can be shown.

    `what` says what the file is, `remedy` what to do where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    name = _printable(path)
    try:
        with open(path.expanduser(), "rb", opener=_open_quickly) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"the {what} {name} is not a file")
            return file.read(MAX_FILE + 1), name
    except FileNotFoundError as exc:
        raise ConfigError(f"the {what} {name} does not exist; {remedy}") from exc
    except (OSError, RuntimeError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise ConfigError(f"the {what} {name} cannot be read: {why}") from exc


def shipped() -> Policy:
    """Return the policy that comes with Aegis; the place to change it is the operator's own."""
    from importlib.resources import files  # noqa: PLC0415 - only who has no policy pays for it

    text = files("aegis_mcp").joinpath("policy.yaml").read_bytes()
    return load(text, "the shipped policy", editable=str(settings.default_policy()))


def load(text: bytes, source: str, *, editable: str | None = None) -> Policy:
    """Make a policy of the bytes of a file; `source` names it in messages, `editable` is what a person would change.

    Raises:
        PolicyError: the file has mistakes.
    """
    mistakes = Mistakes(source)
    identity = (source, editable or source, hashlib.sha256(text).hexdigest())
    made = schema.policy(document(text, source), mistakes, identity)
    mistakes.raise_any()
    return made


def document(text: bytes, source: str) -> Located:
    """Return what the bytes of a file say, and where; what YAML could be read as in two ways is refused.

    Raises:
        PolicyError: that is not one plain YAML document.
    """
    return _locate(_compose(text, source))


def _compose(text: bytes, source: str) -> Node:
    try:
        node = _parse(text)
    except UnicodeDecodeError as exc:
        raise PolicyError(source, (_mistake_at(text[: exc.start].decode("utf-8"), "the file is not UTF-8"),)) from exc
    except ReaderError as exc:
        before = text.decode("utf-8")[: exc.position]
        raise PolicyError(source, (_mistake_at(before, "a character that YAML does not have"),)) from exc
    except yaml.MarkedYAMLError as exc:
        raise PolicyError(source, (_syntax_mistake(exc),)) from exc
    if node is None:
        raise PolicyError(source, (Mistake(1, 1, "the file is empty; it needs at least `version: 1`"),))
    return node


def _parse(text: bytes) -> Node | None:
    if len(text) > MAX_FILE:
        raise _refusal(None, f"the file is larger than {MAX_FILE} bytes")
    parser = _PlainLoader(text.decode("utf-8"))
    try:
        return parser.get_single_node()
    except (ValueError, OverflowError) as exc:
        # The parser does not look whether Unicode has the character of `\UFFFFFFFF`, nor how long a version is.
        raise _refusal(parser.last, "after this place: a number that is too large") from exc
    finally:
        parser.dispose()


class _PlainLoader(yaml.SafeLoader):
    """Refuses what would let one part of the file stand for another, name a type of its own, or exhaust the stack."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.last: Any = None
        self._depth = 0

    def get_event(self) -> Any:
        """Return the next event."""
        event = self.last = cast("Any", super()).get_event()
        if getattr(event, "anchor", None) is not None:
            raise _refusal(event, "anchors and aliases are not accepted; a text that begins so needs quotes")
        if getattr(event, "tag", None) not in {None, "!"}:
            raise _refusal(event, "tags are not accepted; a text that begins with ! needs quotes")
        self._depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if self._depth > MAX_NESTING:
            raise _refusal(event, f"nested deeper than {MAX_NESTING}")
        return event


def _refusal(event: Any, message: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=message, problem_mark=event.start_mark if event else None)


def _mistake_at(before: str, message: str) -> Mistake:
    return Mistake(before.count("\n") + 1, len(before) - before.rfind("\n"), message)


def _syntax_mistake(error: yaml.MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    message = error.problem or "this is not YAML"
    hint = next((hint for sign, hint in _HINTS.items() if sign in f"{error.context} {message}"), "")
    return Mistake(*place, message + hint)


def _locate(node: Node) -> Located:
    place = Place(node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, MappingNode):
        return Mapping(place, tuple((_locate(name), _locate(value)) for name, value in node.value))
    if isinstance(node, SequenceNode):
        return Listing(place, tuple(_locate(item) for item in node.value))
    return Scalar(place, _value_of(node), str(node.value))


def _value_of(node: Node) -> JsonScalar:
    """Return what YAML 1.1 makes of a scalar; dates and the like are texts to a policy."""
    is_plain = isinstance(node, ScalarNode) and node.style is None
    if is_plain and _NUMBER.fullmatch(node.value):
        return float(node.value)  # `1e3`, which is a number to a person and to JSON, and to YAML 1.1 a text
    if node.tag in _PLAIN_TAGS:
        try:
            return cast("JsonScalar", cast("Any", SafeConstructor()).construct_object(node))
        except ValueError:
            pass  # it only looks like a number
    return str(node.value)


def _open_quickly(path: str, flags: int) -> int:
    # A FIFO in the place of the file would hold the start up for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _printable(path: Path) -> str:
    """Return a path as the log and a terminal can take it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))
