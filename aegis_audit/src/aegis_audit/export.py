"""Results for programs: JSON in printable ASCII, so that no reader of it, a terminal included, can be misled.

An entry is the very object that stands in the log: numbers and the order of keys are kept, only characters beyond
ASCII are written as escapes.
"""

from __future__ import annotations

import json
from typing import Any, TextIO

from aegis_audit.answer import Settled
from aegis_audit.escape import escape_json
from aegis_audit.listing import Listing


class JsonLines:
    """One entry a line, and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def add(self, one: Settled) -> None:
        """Write one entry."""
        self._stream.write(entry_json(one) + "\n")


class JsonDocument:
    """One object: the entries, and the account of all that was read."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._before = "\n"
        stream.write('{"entries":[')

    def add(self, one: Settled) -> None:
        """Write one entry."""
        self._stream.write(self._before + entry_json(one))
        self._before = ",\n"

    def finish(self, listing: Listing) -> None:
        """Write the account and end the object."""
        self._stream.write("\n]," + document(listing.to_json())[1:] + "\n")


def entry_json(one: Settled) -> str:
    """Return an entry as JSON on one line."""
    return escape_json(one.found.line.raw[:-1].decode("utf-8"))


def document(value: dict[str, Any]) -> str:
    """Return an object as indented JSON."""
    return escape_json(json.dumps(value, indent=2))
