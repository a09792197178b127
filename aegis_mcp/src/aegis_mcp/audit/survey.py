"""What stands in a log where the writer did not expect it: pure functions over bytes.

Only what follows the head by number, link and hash is taken over; what is no entry at all is attested; an entry that
does not follow is left for the verifier to judge. Nothing here makes a broken chain look whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import chain
from typing import Final, cast

from aegis_audit.chain import GENESIS, Head
from aegis_audit.entry import MAX_LINE, Entry
from aegis_audit.errors import MalformedEntry
from aegis_audit.tree import EMPTY, CompactRange
from aegis_audit.value import Value

_SEQ: Final = b',"seq":'
_HASH: Final = slice(15, 79)

LAST: Final = 16 * MAX_LINE
"""Bytes at the end of a log that are searched for its last entry."""

_MOST_FRAGMENTS: Final = 100
_SIGNS: Final = frozenset({"log_key", "signed"})
"""Members of an event that only a signed log has."""


class Beyond(Value):
    """What stands beyond a head: the head after it, attestations of what is no entry, and the bytes themselves.

    `leaves` are the hashes of the entries that follow the old head.
    """

    head: Head
    leaves: list[bytes]
    fragments: list[dict[str, object]]
    data: bytes

    @property
    def torn(self) -> bytes:
        """Return what stands after the last LF."""
        return self.data[self.data.rfind(b"\n") + 1 :]


def beyond(data: bytes, offset: int, head: Head) -> Beyond:
    """Look at bytes that begin at `offset` of a log whose last known entry is `head`."""
    fragments: list[dict[str, object]] = []
    leaves: list[bytes] = []
    for line in _lines(data):
        entry = _entry(line)
        if entry is None:
            fragments.append(_attestation(line.removesuffix(b"\n"), offset))
        elif _follows(entry, head):
            head = Head(entry.seq, entry.entry_hash)
            leaves.append(bytes.fromhex(entry.entry_hash))
            # What that entry attests need not be attested again.
            fragments = [] if entry.kind == "recovered" else fragments
        offset += len(line)
    return Beyond(head, leaves, fragments[:_MOST_FRAGMENTS], data)


def rest_of_torn(found: Beyond, kept: bytes) -> bytes:
    """Return what a torn last line lacks, nothing if that is not known.

    `kept` is what the tail says of the same bytes and those after them.
    """
    if not found.torn or not kept.startswith(found.data):
        return b""
    start = len(found.data) - len(found.torn)
    line = kept[start : kept.find(b"\n", start) + 1]
    entry = _entry(line)
    return line[len(found.torn) :] if entry and _follows(entry, found.head) else b""


def last_entry(data: bytes) -> tuple[Head, int] | None:
    """Return the last whole entry in the bytes at the end of a log, and where it ends; None if there is none."""
    end = data.rfind(b"\n") + 1
    while end:
        start = data.rfind(b"\n", 0, end - 1) + 1
        entry = _entry(data[start:end])
        if entry and entry.computed_hash == entry.entry_hash:
            return Head(entry.seq, entry.entry_hash), end
        end = start
    return None


def origin_of(data: bytes) -> str | None:
    """Return the origin that the first line of a segment names."""
    entry = _entry(data[: data.find(b"\n") + 1])
    origin = entry.event.get("origin") if entry and entry.kind in {"log_opened", "segment_opened"} else None
    return origin if isinstance(origin, str) and origin.isascii() else None


def seq_of(line: bytes) -> int:
    """Return the number of an entry, -1 of what is none. Behind it come only members that cannot hold its name."""
    digits = line[line.rfind(_SEQ) + len(_SEQ) :].partition(b",")[0]
    return int(digits) if digits.isdigit() else -1


def hash_of(line: bytes) -> str:
    """Return the hash that an entry states."""
    return line[_HASH].decode("latin-1")


def begun_segment(kept: bytes, head: Head) -> bytes:
    """Return the opening of a segment after `head`, with the lines that it announces to write again.

    `kept` is what the tail says of the bytes behind the head; nothing is returned if they are not that, or not whole.
    """
    end = kept.find(b"\n") + 1
    opening = _entry(kept[:end])
    if opening is None or opening.kind != "segment_opened" or not _follows(opening, head):
        return b""
    match opening.event.get("replay"):
        case [int(first), int(last)]:
            announced = range(first, last + 1)
        case _:
            announced = range(0)
    for seq in announced:
        start, end = end, kept.find(b"\n", end) + 1
        again = _entry(kept[start:end])
        if again is None or again.seq != seq or not again.has_its_hash:
            return b""
    return kept[:end]


def written_ahead(kept: bytes, head: Head) -> Beyond:
    """Return the entries that follow `head` at the start of `kept`, which is what the tail says of the bytes behind it.

    A writer fills the tail before the log. If it was killed before it stored the head, these lines may be in the log.
    """
    leaves: list[bytes] = []
    start = 0
    while end := kept.find(b"\n", start) + 1:
        entry = _entry(kept[start:end])
        if entry is None or not _follows(entry, head):
            break
        head = Head(entry.seq, entry.entry_hash)
        leaves.append(bytes.fromhex(entry.entry_hash))
        start = end
    return Beyond(head, leaves, [], kept[:start])


def numbered(data: bytes) -> list[tuple[int, bytes]]:
    """Return the lines of entries with their numbers, in their order, each once."""
    entries = ((entry, line) for line in _lines(data) if (entry := _entry(line)) and entry.has_its_hash)
    return sorted({entry.seq: line for entry, line in entries}.items())


class Lost(Value):
    """Lines with their numbers that may be lost with a cut, and the range of those that certainly are: first, last."""

    lines: list[tuple[int, bytes]]
    missing: list[int]


class Grown(Value):
    """What one segment says of the whole log: the last entry of its chain, the tree up to there, and if it is signed.

    The tree is None where the segment does not say how it was at its start.
    """

    head: Head
    tree: CompactRange | None
    is_signed: bool


def regrow(lines: Iterable[bytes]) -> Grown:
    """Read a segment from its start on, one line after the other."""
    entries = (entry for line in lines if (entry := _entry(line)) and entry.has_its_hash)
    first = next(entries, None)
    grown = first and tree_before(first)
    if first is None or grown is None:
        return Grown(GENESIS, None, is_signed=False)
    head, tree = grown
    is_signed = False
    for entry in chain((first,), entries):
        is_signed |= entry.event_type == "checkpoint" or not _SIGNS.isdisjoint(entry.event)
        if _follows(entry, head):
            head, tree = Head(entry.seq, entry.entry_hash), tree.append(bytes.fromhex(entry.entry_hash))
    return Grown(head, tree, is_signed)


def tree_before(first: Entry) -> tuple[Head, CompactRange] | None:
    """Return the last entry before a segment and the tree up to it, as its first entry states them."""
    if first.kind == "log_opened" and not first.seq:
        return GENESIS, EMPTY
    nodes = first.event.get("tree") if first.kind == "segment_opened" else None
    if not isinstance(nodes, list):
        return None
    try:
        tree = CompactRange.decode(first.seq, bytes.fromhex("".join(map(str, cast("list[object]", nodes)))))
    except ValueError:
        return None
    return Head(first.seq - 1, first.prev_hash), tree


def lost_with_cut(kept: bytes, content: bytes, head: Head, not_before: str) -> Lost:
    """Return what was written before a log was cut and may be lost.

    `kept` are the bytes of the tail, `content` what is left of the log. Of a log that was cut to nothing, as a rotation
    does, those are the latest lines: from the time `not_before` on. Of one that was cut in the middle, those after it;
    what of them the tail does not hold is missing.
    """
    tail = {entry.seq: (entry, line) for line in _lines(kept) if (entry := _entry(line))}
    first, last = _entry(content[: content.find(b"\n") + 1]), last_entry(content[-LAST:])
    is_cut_short = last is not None and last[0].seq < head.seq
    # What a gateway wrote just after the cut stands at the start of what is left.
    end = first.seq if first and not is_cut_short else head.seq + 1
    lost: list[tuple[int, bytes]] = []
    wanted = head
    while (found := tail.get(wanted.seq)) and found[0].entry_hash == wanted.entry_hash:
        entry, line = found
        if entry.seq <= last[0].seq if last and is_cut_short else entry.timestamp < not_before:
            break
        if entry.seq < end:
            lost.append((entry.seq, line))
        wanted = Head(entry.seq - 1, entry.prev_hash)
    is_short = last is not None and is_cut_short and wanted.seq > last[0].seq
    return Lost(lost[::-1], [last[0].seq + 1, wanted.seq] if last and is_short else [])


def _lines(data: bytes) -> list[bytes]:
    """Cut at LF alone, which stays; the last line may lack it."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1].removesuffix(b"\n")
    return lines if lines[-1] else lines[:-1]


def _entry(line: bytes) -> Entry | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return Entry.parse(line)
    except MalformedEntry:
        return None


def _follows(entry: Entry, head: Head) -> bool:
    is_next = entry.seq == head.seq + 1 and entry.prev_hash == head.entry_hash
    return is_next and entry.computed_hash == entry.entry_hash


def _attestation(fragment: bytes, offset: int) -> dict[str, object]:
    return {"length": len(fragment), "offset": offset, "sha256": hashlib.sha256(fragment).hexdigest()}
