#!/usr/bin/env python3
"""A second verifier of one segment of an Aegis audit log, for an auditor who trusts nobody's package.

It needs Python alone and shares no code with Aegis. It checks the form of each line (RFC 8785), its hash, number and
link, and what the writer says of torn and repeated lines. Exit status: 0 valid, 1 not. What was cut off does not show.
"""

import argparse
import hashlib
import json
import re
import sys
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

MAX_LINE, MAX_KEPT = 65_535, 1000
KEYS = ["entry_hash", "event", "event_type", "prev_hash", "seq", "session_id", "timestamp", "v"]
TIME = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
HEX32, HEX64 = "[0-9a-f]{32}", "[0-9a-f]{64}"
FORMS = {"entry_hash": HEX64, "prev_hash": HEX64, "session_id": HEX32, "trace_id": HEX32, "timestamp": TIME}
OPENINGS = ("log_opened", "segment_opened")


class InvalidError(Exception):
    """The segment is not valid; a line that is no entry is a `ValueError` at first."""


class Run:
    """Entries that follow each other without a gap."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.first, self.first_prev = entry["seq"], entry["prev_hash"]
        self.last, self.last_hash = entry["seq"], entry["entry_hash"]
        self.is_opening = self.is_repeated = False

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
        self.current: Run | None = None
        self.announcer: Run | None = None
        self.announced = range(0)
        self.is_from_start = False

    def add(self, line: bytes) -> None:
        """Check one line and its place; what is no entry may be a torn line that the writer attests later."""
        try:
            entry = parse(line)
        except (ValueError, RecursionError) as exc:
            require(line.endswith(b"\n") and len(self.torn) < MAX_KEPT, f"no entry: {exc}")
            self.torn.append((len(line) - 1, hashlib.sha256(line[:-1]).hexdigest()))
            return
        digest = hashlib.sha256(b"\0{" + line[81:-1]).hexdigest()
        require(digest == entry["entry_hash"], f"entry {entry['seq']} has the hash {digest}")
        require(
            (entry["prev_hash"] == "0" * 64) == (entry["seq"] == 0), "number 0 and the zero hash do not come together"
        )
        self.place(entry)
        if entry["event_type"] == "security_event":
            self.heed(entry, entry["event"].get("kind"))

    def place(self, entry: dict[str, Any]) -> None:
        """Let the entry follow; only what opens a segment, or was announced as repeated, may stand elsewhere."""
        for run in filter(None, (self.current, self.announcer)):
            if run.takes(entry):
                if run is self.announcer:
                    self.announcer, self.announced = None, range(0)
                self.current = run
                return
        run, before = Run(entry), self.current
        is_further_on = before is self.announcer or (before is not None and before.last < run.first)
        run.is_repeated = run.first in self.announced and is_further_on
        run.is_opening = entry["event_type"] == "security_event" and entry["event"].get("kind") in OPENINGS
        is_free = before is None or run.is_repeated or (run.is_opening and before.last_hash != run.last_hash)
        require(is_free and len(self.runs) < MAX_KEPT, f"entry {run.first} does not follow the one before")
        if not run.is_repeated:
            self.announcer, self.announced, self.is_from_start = None, range(0), run.is_opening
        self.runs.append(run)
        self.current = run

    def heed(self, entry: dict[str, Any], kind: object) -> None:
        """Check what a security event says of the log; one that is repeated speaks of another file."""
        event, seq = entry["event"], entry["seq"]
        if kind == "entries_lost" or (kind == "recovered" and "missing" in event):
            raise InvalidError("the writer has recorded that entries were lost")
        if seq in self.announced:
            return
        said = event.get("first_seq", seq), event.get("prev_hash", entry["prev_hash"])
        is_right = kind not in OPENINGS or said == (seq, entry["prev_hash"])
        require(is_right, "the opening contradicts its own place")
        if kind in OPENINGS and "replay" in event:
            first, last = event["replay"]
            require(0 <= first <= last < seq, "what is announced is no repetition")
            self.announcer, self.announced = self.current, range(first, last + 1)
        for fragment in event["fragments"] if kind in (*OPENINGS, "recovered") and "fragments" in event else ():
            attested = (fragment["length"], fragment["sha256"])
            require(attested in self.torn or not self.is_from_start, "a torn line that is attested is not there")
            if attested in self.torn:
                self.torn.remove(attested)

    def finish(self) -> str:
        """Check what shows at the end only, and say what the segment holds."""
        require(bool(self.runs), "there is no entry")
        require(not self.torn, f"{len(self.torn)} lines are no entries, and the writer does not attest them")
        runs = sorted(self.runs, key=lambda run: run.first)
        for run, after in pairwise(runs):
            is_free = after.is_opening or after.is_repeated or run.is_repeated
            is_next = (run.last + 1, run.last_hash) == (after.first, after.first_prev)
            require(is_next and is_free, f"entry {after.first} does not follow entry {run.last}")
        return f"entries {runs[0].first} to {runs[-1].last}"


def require(condition: bool, message: str, error: type[Exception] = InvalidError) -> None:
    """Raise unless a condition holds."""
    if not condition:
        raise error(message)


def parse(line: bytes) -> dict[str, Any]:
    """Return the entry that a line is; raise `ValueError` or `RecursionError` if it is none."""
    require(line.endswith(b"\n") and len(line) <= MAX_LINE, "not one line of at most 65,535 bytes", ValueError)
    text = line[:-1].decode("utf-8")
    entry: Any = json.loads(text, object_pairs_hook=unique)
    require(entry.__class__ is dict and canonical(entry, 32) == text, "no object in canonical form", ValueError)
    require([key for key in entry if key != "trace_id"] == KEYS, "not the keys of version 1", ValueError)
    kinds = [entry[name].__class__ for name in ("event", "event_type", "seq", "v")]
    is_version_1 = kinds == [dict, str, int, int] and entry["v"] == 1 and entry["seq"] >= 0
    require(is_version_1, "not version 1, or a field is not of its type", ValueError)
    for name, form in FORMS.items():
        value: Any = entry.get(name, "0" * 32)  # only trace_id may be absent
        require(value.__class__ is str and bool(re.fullmatch(form, value)), f"{name} is not of its form", ValueError)
    return entry


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, and refuse a key that comes twice."""
    require(len(dict(pairs)) == len(pairs), "a key comes twice", ValueError)
    return dict(pairs)


def canonical(value: Any, depth: int) -> str:
    """Return the canonical form of a value, at most so many levels deep."""
    kind = value.__class__
    require(depth > 0 or kind not in (list, dict), "nested too deep", ValueError)
    if kind is list:
        return "[" + ",".join(canonical(element, depth - 1) for element in value) + "]"
    if kind is dict:
        keys: list[str] = sorted(value, key=lambda key: str(key).encode("utf-16-be"))
        return "{" + ",".join(canonical(key, 0) + ":" + canonical(value[key], depth - 1) for key in keys) + "}"
    if kind is float:
        return number(value)
    require(kind is not int or abs(value) < 2**53, "a number is too wide", ValueError)
    return json.dumps(value, ensure_ascii=False)


def number(value: float) -> str:
    """Write a float as ECMAScript does (ECMA-262, Number::toString)."""
    require(abs(value) < float("inf"), "a number is too wide, or none", ValueError)
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
        print("valid:", segment.finish())
    except (InvalidError, OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        sys.exit(f"invalid: {str(path)!a}, line {lines}: {str(exc)!a}")


if __name__ == "__main__":
    main()
