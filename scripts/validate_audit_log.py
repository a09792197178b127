#!/usr/bin/env python3
"""A second verifier of one segment of an Aegis audit log, for an auditor who trusts nobody's package.

It needs Python 3.11 and nothing else, shares no code with Aegis, reads the file once and holds one line at a time. It
checks the form of each line (RFC 8785), its hash, number and link, and what the writer says of torn and repeated lines.
Exit status: 0 the segment is valid, 1 it is not. A tail that was cut off, or rewritten as a whole, does not show here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

MAX_LINE = 65_535
MAX_KEPT = 1000
KEYS = ["entry_hash", "event", "event_type", "prev_hash", "seq", "session_id", "timestamp", "v"]
TIME = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
HEX32, HEX64 = "[0-9a-f]{32}", "[0-9a-f]{64}"
FORMS = {"entry_hash": HEX64, "prev_hash": HEX64, "session_id": HEX32, "trace_id": HEX32, "timestamp": TIME}
OPENINGS = ("log_opened", "segment_opened")


class MalformedError(Exception):
    """A line is no entry."""


class InvalidError(Exception):
    """The segment is not valid."""


class Run:
    """Entries that follow each other without a gap."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.first, self.first_prev = entry["seq"], entry["prev_hash"]
        self.last, self.last_hash = entry["seq"], entry["entry_hash"]

    def takes(self, entry: dict[str, Any]) -> bool:
        """Let an entry follow if it does, and tell whether it did."""
        if (entry["seq"], entry["prev_hash"]) != (self.last + 1, self.last_hash):
            return False
        self.last, self.last_hash = entry["seq"], entry["entry_hash"]
        return True


class Segment:
    """What is known of the segment so far."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.torn: list[tuple[int, str]] = []
        self.announcer: Run | None = None
        self.announced = range(0)
        self.is_from_start = False

    def add(self, line: bytes) -> None:
        """Check one line and its place; what is no entry may be a torn line that the writer attests later."""
        try:
            entry = parse(line)
        except (MalformedError, ValueError, RecursionError) as exc:
            if not line.endswith(b"\n") or len(self.torn) == MAX_KEPT:
                raise InvalidError(f"no entry: {exc}") from exc
            self.torn.append((len(line) - 1, hashlib.sha256(line[:-1]).hexdigest()))
            return
        digest = hashlib.sha256(b"\0{" + line[81:-1]).hexdigest()
        require(digest == entry["entry_hash"], f"entry {entry['seq']} has the hash {digest}")
        is_start = entry["prev_hash"] == "0" * 64
        require(is_start == (entry["seq"] == 0), "number 0 and the zero hash do not come together")
        self.place(entry)
        if entry["event_type"] == "security_event":
            self.heed(entry, entry["event"].get("kind"))

    def place(self, entry: dict[str, Any]) -> None:
        """Let the entry follow; only what opens a segment, or was announced as repeated, may stand elsewhere."""
        for run in (*self.runs[-1:], *filter(None, [self.announcer])):
            if run.takes(entry):
                return
        is_repeated = entry["seq"] in self.announced
        is_opening = entry["event_type"] == "security_event" and entry["event"].get("kind") in OPENINGS
        is_free = is_repeated or (is_opening and entry["entry_hash"] != self.runs[-1].last_hash) if self.runs else True
        require(is_free and len(self.runs) < MAX_KEPT, f"entry {entry['seq']} does not follow the one before")
        if not is_repeated:
            self.announcer, self.announced, self.is_from_start = None, range(0), is_opening
        self.runs.append(Run(entry))

    def heed(self, entry: dict[str, Any], kind: object) -> None:
        """Check what a security event says of the log; one that is repeated speaks of another file."""
        event, seq = entry["event"], entry["seq"]
        if kind == "entries_lost" or (kind == "recovered" and "missing" in event):
            raise InvalidError("the writer has recorded that entries were lost")
        if seq in self.announced:
            return
        if kind in OPENINGS:
            said = event.get("first_seq", seq), event.get("prev_hash", entry["prev_hash"])
            require(said == (seq, entry["prev_hash"]), "the opening contradicts its own place")
        if kind in OPENINGS and "replay" in event:
            first, last = event["replay"]
            require(0 <= first <= last < seq, "what is announced is no repetition")
            self.announcer, self.announced = self.runs[-1], range(first, last + 1)
        fragments: list[dict[str, Any]] = event.get("fragments", []) if kind == "recovered" else []
        for attested in [(fragment["length"], fragment["sha256"]) for fragment in fragments]:
            require(attested in self.torn or not self.is_from_start, "a torn line that is attested is not there")
            if attested in self.torn:
                self.torn.remove(attested)

    def finish(self) -> tuple[int, int]:
        """Check what shows at the end only, and return the first number and the last."""
        require(bool(self.runs), "there is no entry")
        require(not self.torn, f"{len(self.torn)} lines are no entries, and the writer does not attest them")
        runs = sorted(self.runs, key=lambda run: run.first)
        for run, after in pairwise(runs):
            is_linked = (run.last + 1, run.last_hash) == (after.first, after.first_prev)
            require(is_linked, f"entry {after.first} does not follow entry {run.last}")
        return runs[0].first, runs[-1].last


def require(condition: bool, message: str, error: type[Exception] = InvalidError) -> None:
    """Raise unless a condition holds."""
    if not condition:
        raise error(message)


def parse(line: bytes) -> dict[str, Any]:
    """Return the entry that a line is; raise `MalformedError`, `ValueError` or `RecursionError` if it is none."""
    require(line.endswith(b"\n") and len(line) <= MAX_LINE, "not one line of at most 65,535 bytes", MalformedError)
    text = line[:-1].decode("utf-8")
    entry = json.loads(text, object_pairs_hook=unique)
    require(canonical(entry, 32) == text, "not in canonical form", MalformedError)
    require([key for key in entry if key != "trace_id"] == KEYS, "not the keys of version 1", MalformedError)
    kinds: list[object] = [type(entry[name]) for name in ("event", "event_type", "seq", "v")]
    require(kinds == [dict, str, int, int], "a field is not of its type", MalformedError)
    for name, form in FORMS.items():
        value = entry.get(name, "0" * 32)  # only trace_id may be absent
        require(type(value) is str and bool(re.fullmatch(form, value)), f"{name} is not of its form", MalformedError)
    require(entry["v"] == 1 and entry["seq"] >= 0, "not version 1, or a number below 0", MalformedError)
    return entry


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, and refuse a key that comes twice."""
    require(len(dict(pairs)) == len(pairs), "a key comes twice", MalformedError)
    return dict(pairs)


def canonical(value: Any, depth: int) -> str:
    """Return the canonical form of a value, at most so many levels deep."""
    kind = value.__class__
    require(depth > 0 or kind not in (list, dict), "nested too deep", MalformedError)
    if kind is list:
        return "[" + ",".join(canonical(element, depth - 1) for element in value) + "]"
    if kind is dict:
        keys: list[str] = sorted(value, key=lambda key: str(key).encode("utf-16-be"))
        return "{" + ",".join(canonical(key, 0) + ":" + canonical(value[key], depth - 1) for key in keys) + "}"
    if kind is float:
        return number(value)
    require(kind is not int or abs(value) < 2**53, "a number is too wide", MalformedError)
    return json.dumps(value, ensure_ascii=False)


def number(value: float) -> str:
    """Write a float as ECMAScript does (ECMA-262, Number::toString)."""
    require(abs(value) < float("inf"), "a number is too wide, or none", MalformedError)
    _, figures, exponent = Decimal(repr(abs(value))).normalize().as_tuple()
    digits, sign = "".join(map(str, figures)), "-" if value < 0 else ""
    point = len(digits) + int(exponent)
    if 0 < point <= 21:
        return sign + digits[:point].ljust(point, "0") + ("." + digits[point:] if len(digits) > point else "")
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    return sign + digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{point - 1:+d}"


def main() -> None:
    """Check the file that `--path` names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True, help="one segment, not compressed")
    path, segment, lines = Path(parser.parse_args().path), Segment(), 0
    try:
        require(path.is_file(), "not a regular file")
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                lines += 1
                segment.add(line)
        first, last = segment.finish()
    except (InvalidError, OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        sys.exit(f"invalid: {str(path)!a}, line {lines}: {str(exc)!a}")
    print(f"valid: entries {first} to {last}")


if __name__ == "__main__":
    main()
