"""From a policy file to a `Policy`: every mistake at once, each with its line and column.

What is not understood is refused, never passed over: an unknown key, a key twice, a value of another type, a word that
YAML 1.1 reads as something else. Anchors, aliases and tags are refused; the file is data.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

import yaml
from yaml.composer import ComposerError
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, SequenceNode

from aegis_mcp import settings
from aegis_mcp.errors import ConfigError, Mistake, PolicyError
from aegis_mcp.policy import schema
from aegis_mcp.policy.located import Listing, Located, Mapping, Mistakes, Place, Scalar
from aegis_mcp.policy.model import JsonScalar, Policy

_PLAIN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null"))
MAX_FILE: Final = 256 * 1024
"""Bytes of the largest policy file."""


def chosen(path: Path | None) -> Policy:
    """Return the policy at `path`; without one that of the operator's own place, if it is there; else the shipped one.

    Raises:
        ConfigError: what `read` says.
    """
    if path is not None:
        return read(path.expanduser())
    own = settings.default_policy()
    return read(own) if own.exists() else shipped()


def read(path: Path) -> Policy:
    """Read the policy at `path`.

    Raises:
        PolicyError: the file has mistakes.
        ConfigError: it cannot be read.
    """
    try:
        with open(path, "rb", opener=_open_quickly) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"the policy {str(path)!r} is not a file")
            return load(file.read(MAX_FILE + 1), str(path))
    except OSError as exc:
        raise ConfigError(f"the policy {str(path)!r} cannot be read: {exc.strerror}") from exc


def shipped() -> Policy:
    """Return the policy that comes with Aegis; the place to change it is the operator's own."""
    text = files("aegis_mcp").joinpath("policy.yaml").read_bytes()
    return load(text, "the shipped policy", editable=str(settings.default_policy()))


def load(text: bytes, source: str, *, editable: str | None = None) -> Policy:
    """Make a policy of the bytes of a file; `source` names it in messages, `editable` is what a person would change.

    Raises:
        PolicyError: the file has mistakes.
    """
    mistakes = Mistakes(source)
    document = _locate(_compose(text, source))
    made = schema.policy(document, mistakes, (source, editable or source, hashlib.sha256(text).hexdigest()))
    mistakes.raise_any()
    return made


def _compose(text: bytes, source: str) -> Node:
    if len(text) > MAX_FILE:
        raise PolicyError(source, (Mistake(1, 1, f"the file is larger than {MAX_FILE} bytes"),))
    try:
        decoded = text.decode("utf-8")
        _refuse_cleverness(decoded)
        node = yaml.compose(decoded, yaml.SafeLoader)
    except UnicodeDecodeError as exc:
        line = text.count(b"\n", 0, exc.start) + 1
        raise PolicyError(source, (Mistake(line, 1, "the file is not UTF-8"),)) from exc
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise PolicyError(source, (Mistake(*place, exc.problem or "this is not YAML"),)) from exc
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise PolicyError(source, (Mistake(1, 1, "the file holds what YAML cannot, or nests too deep"),)) from exc
    if node is None:
        raise PolicyError(source, (Mistake(1, 1, "the file is empty; it needs at least `version: 1`"),))
    return node


def _locate(node: Node) -> Located:
    place = Place(node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, MappingNode):
        return Mapping(place, tuple((_locate(name), _locate(value)) for name, value in node.value))
    if isinstance(node, SequenceNode):
        return Listing(place, tuple(_locate(item) for item in node.value))
    return Scalar(place, _value_of(node), str(node.value))


def _value_of(node: Node) -> JsonScalar:
    """Return what YAML 1.1 makes of a scalar; dates and the like are texts to a policy."""
    if node.tag in _PLAIN_TAGS:
        try:
            return cast("JsonScalar", cast("Any", SafeConstructor()).construct_object(node))
        except ValueError:
            pass  # it only looks like a number
    return str(node.value)


def _refuse_cleverness(text: str) -> None:
    """Refuse what would let one part of the file stand for another, or name a type of its own."""
    for event in cast("Iterator[Any]", yaml.parse(text, yaml.SafeLoader)):
        if getattr(event, "anchor", None) is not None:
            raise ComposerError(None, None, "anchors and aliases are not accepted", event.start_mark)
        if getattr(event, "tag", None) not in {None, "!"}:
            raise ComposerError(None, None, "tags are not accepted", event.start_mark)


def _open_quickly(path: str, flags: int) -> int:
    # A FIFO in the place of the file would hold the start up for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
