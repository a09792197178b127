"""Logs made entry by entry with the writer's own functions, for whoever needs one without running a gateway."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import zstandard

from aegis_audit import canonical, chain
from aegis_audit.chain import GENESIS, Head
from aegis_audit.entry import Draft

ORIGIN: Final = "desk.example/aegis"
COMPRESSIONS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor().compress,
}
START: Final = datetime(2026, 11, 24, 3, 31, 51, 123456, UTC)


class LogBuilder:
    """Appends entries to a chain; `lines` are the lines of the segment that is being written."""

    def __init__(self, head: Head = GENESIS, *, origin: str = ORIGIN, session_id: str = "5e" * 16) -> None:
        self.head = head
        self.origin = origin
        self.session_id = session_id
        self.now = START
        self.lines: list[bytes] = []

    def add(self, event_type: str, event: Mapping[str, Any], trace_id: str | None = None) -> bytes:
        """Append one entry, a millisecond after the one before."""
        self.now += timedelta(milliseconds=1)
        timestamp = self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        draft = Draft(event_type, canonical.encode(event), self.session_id, trace_id)
        line, self.head = chain.append(self.head, draft, timestamp)
        self.lines.append(line)
        return line

    def open_log(self) -> bytes:
        """Append the first entry of a log."""
        return self.add("security_event", {"kind": "log_opened", "origin": self.origin, "version": "0.1.0"})

    def open_segment(self, reason: str = "rotated", **details: Any) -> bytes:
        """Append the first entry of a later segment."""
        opened = {"first_seq": self.head.seq + 1, "kind": "segment_opened", "origin": self.origin, "reason": reason}
        return self.add("security_event", opened | {"prev_hash": self.head.entry_hash} | details)

    def security(self, kind: str, **details: Any) -> bytes:
        """Append a security event."""
        return self.add("security_event", {"kind": kind} | details)

    def recover(self, *fragments: tuple[int, bytes], **details: Any) -> bytes:
        """Append the attestation of torn lines, each given by its offset and its bytes without an LF."""
        attested = [
            {"length": len(fragment), "offset": offset, "sha256": hashlib.sha256(fragment).hexdigest()}
            for offset, fragment in fragments
        ]
        return self.security("recovered", fragments=attested, origin=self.origin, reason="a line was torn", **details)

    def intent(self, number: int, tool: str = "read_text_file") -> bytes:
        """Append the intent of a call."""
        event = _call(number, tool) | {
            "access": "read",
            "access_from": "policy",
            "arguments": {"path": f"notes/{number}.txt"},
            "client": {"name": "desk", "version": "1.2.3"},
            "decision": "allow",
            "phase": "intent",
            "policy_sha256": "ab" * 32,
            "rule": "reads",
        }
        return self.add("tool_invocation", event, trace_of(number))

    def outcome(self, number: int, tool: str = "read_text_file") -> bytes:
        """Append the outcome of a call."""
        event = _call(number, tool) | {
            "duration_us": 1200 + number,
            "phase": "outcome",
            "result_bytes": 20 + number,
            "result_sha256": hashlib.sha256(str(number).encode()).hexdigest(),
            "status": "ok",
        }
        return self.add("tool_invocation", event, trace_of(number))

    def call(self, number: int, tool: str = "read_text_file") -> None:
        """Append the two entries of a call."""
        self.intent(number, tool)
        self.outcome(number, tool)

    def rotate(self) -> list[bytes]:
        """End the segment, open the next, and return the lines of the one that ended."""
        ended, self.lines = self.lines, []
        self.open_segment()
        return ended


def trace_of(number: int) -> str:
    """Return the trace of a call."""
    return f"{number + 1:032x}"


def small_log(calls: int = 1, **settings: Any) -> list[bytes]:
    """Return the lines of a log with its opening and as many calls: three entries by default."""
    log = LogBuilder(**settings)
    log.open_log()
    for number in range(calls):
        log.call(number)
    return log.lines


def rotated_log(*calls: int) -> list[list[bytes]]:
    """Return the segments of one log, with as many calls in each."""
    log = LogBuilder()
    log.open_log()
    segments: list[list[bytes]] = []
    number = 0
    for count in calls:
        for number in range(number, number + count):  # noqa: B020  numbers go on
            log.call(number)
        number += 1
        segments.append(log.rotate())
    return segments


def reseal(line: bytes) -> bytes:
    """Return a line with the hash that its bytes have, as somebody who knows the format would."""
    return b'{"entry_hash":"' + hashlib.sha256(b"\x00{" + line[81:-1]).hexdigest().encode() + line[79:]


def write(path: Path, lines: Iterable[bytes]) -> Path:
    """Write a segment."""
    overwrite(path, b"".join(lines))
    return path


def overwrite(path: Path, data: bytes | bytearray) -> None:
    """Let a file hold other bytes: a file that is emptied first may wait for the disk to have what it held."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(data)
        file.truncate()


def offsets(lines: Sequence[bytes]) -> list[int]:
    """Return where each line begins."""
    return [sum(map(len, lines[:index])) for index in range(len(lines))]


def _call(number: int, tool: str) -> dict[str, Any]:
    return {"method": "tools/call", "request_id": number, "server": "files", "tool": tool}
