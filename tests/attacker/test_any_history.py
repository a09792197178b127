"""Whatever happens to a log by its writers, rotations and crashes is innocent; whatever an attacker does to it shows.

The writers are the real ones, two at a time, and sign. The model knows which entries they were told are in the log, and
whether the last crash has left something behind the mark that nobody has looked at yet. An attacker comes at any time;
what he has done is undone after it was judged, and history goes on.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aegis_audit import canonical
from aegis_audit.chain import Head
from aegis_audit.checks.known import Known
from aegis_audit.demand import Demands
from aegis_audit.entry import Draft, Entry
from aegis_audit.errors import MalformedEntry
from aegis_audit.note import VerifierKey
from aegis_audit.report import Report
from aegis_audit.sidecar import find_sidecars
from aegis_audit.trust import Pin, Trust
from aegis_audit.verify import Knowledge, verify
from aegis_mcp.audit.journal import Journal
from support.journals import SESSION, append, log_of
from support.logs import overwrite, reseal
from support.signatures import signed_journal

VALID, TAMPERED, INCOMPLETE, UNVERIFIABLE = 0, 1, 4, 5
BOOTED: Final = 1
"""The machine was started long before: a crash of it excuses nothing here."""
WRITER = st.integers(0, 1)
COUNT = st.integers(1, 3)
PLACE = st.integers(0, 10_000)
"""Where in the log, as far as it goes: taken modulo what there is."""


class History(RuleBasedStateMachine):
    """Two writers of one log, and somebody who has the files for a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.room = tempfile.TemporaryDirectory()
        self.directory = Path(self.room.name)
        self.log = log_of(self.directory)
        self.writers = [self._open(), self._open()]
        self.next = 0
        self.acknowledged: list[int] = []
        self.is_crashed = False
        self.is_torn = False
        self.is_short = False
        self.rotated = 0
        self.kept: dict[Path, list[bytes]] = {}
        self.kept_status = VALID

    @initialize()
    def begin(self) -> None:
        """Write the first entry; the verifier keeps the keys that it declares."""
        self.write(0, 1)
        opened = Entry.parse(self.log.read_bytes().splitlines(keepends=True)[0]).event
        self.origin: str = opened["origin"]
        self.trust = Trust([Pin(VerifierKey.parse(opened[name]), "pinned") for name in ("log_key", "epoch_key")])

    def teardown(self) -> None:
        for writer in self.writers:
            writer.close()
        self.room.cleanup()

    def _open(self) -> Journal:
        return signed_journal(self.directory)

    def _settled(self) -> None:
        self.is_crashed = self.is_torn = self.is_short = False

    # What the writers do.

    @rule(writer=WRITER, count=COUNT)
    def write(self, writer: int, count: int) -> None:
        """Append entries, and be told that they are there."""
        fresh = self._numbers(count)
        append(self.writers[writer], *fresh)
        self.acknowledged += fresh
        self._settled()

    @rule(writer=WRITER)
    def sign(self, writer: int) -> None:
        """Sign the log to its end."""
        self.writers[writer].checkpoint(patience=10)
        self._settled()

    @rule(writer=WRITER)
    def rotate(self, writer: int) -> None:
        """Go on in a new segment and with the key of a new epoch."""
        self.writers[writer].rotate("asked", patience=10)
        self._settled()

    @rule(writer=WRITER)
    def reopen(self, writer: int) -> None:
        """Stop a gateway and start another one."""
        self.writers[writer].close()
        self.writers[writer] = self._open()

    @rule(writer=WRITER)
    def acknowledge(self, writer: int) -> None:
        """Record that a person has looked at the log."""
        event = canonical.encode({"kind": "break_acknowledged", "note": "seen"})
        self.writers[writer].append([Draft("security_event", event, SESSION)], is_synced=True, patience=10)
        self._settled()

    @rule(writer=WRITER, count=COUNT, at=PLACE)
    def crash(self, writer: int, count: int, at: int) -> None:
        """Kill a writer at any byte of what it writes, before it could store the mark."""
        head = self.log.with_suffix(".tlog") / "head"
        self.writers[writer].head(patience=10)
        self._settled()
        mark, size = head.read_bytes(), self.log.stat().st_size
        append(self.writers[writer], *self._numbers(count))
        written = self.log.stat().st_size - size
        os.truncate(self.log, size + at % (written + 1))
        head.write_bytes(mark)
        self.reopen(writer)
        self.is_crashed, self.is_torn = True, not self.log.read_bytes().endswith(b"\n")

    # What rotation does from outside.

    @precondition(lambda self: self.log.exists() and self.log.stat().st_size and not self.is_torn)
    @rule(is_created=st.booleans())
    def rename(self, is_created: bool) -> None:
        """Rotate as logrotate does by default."""
        self.log.rename(self._rotated_name())
        if is_created:
            self.log.touch(mode=0o600)

    @precondition(lambda self: self.log.exists() and self.log.stat().st_size and not self.is_torn)
    @rule(writer=WRITER, count=st.integers(0, 2))
    def copy_and_truncate(self, writer: int, count: int) -> None:
        """Rotate by copying, with so many entries between the copy and the cut."""
        if count:
            self.writers[writer].head(patience=10)
            self._settled()
        shutil.copy(self.log, self._rotated_name())
        if count:
            self.write(writer, count)
        os.truncate(self.log, 0)
        self.is_short = count > 0

    @rule(at=PLACE)
    def compress(self, at: int) -> None:
        """Compress a segment that was rotated."""
        plain = [path for path in self._segments() if path != self.log and path.suffix != ".gz"]
        if plain:
            path = plain[at % len(plain)]
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()

    @invariant()
    def nobody_is_accused(self) -> None:
        """Judge the honest log: nothing is lost, and at most its end is torn, or waits to be written again."""
        if not self.acknowledged:
            return
        report = self._judge()
        assert report.verdict.exit_code == (INCOMPLETE if self.is_short else self._innocent), report.findings
        if self.is_short:
            return
        written = {entry.event.get("number") for line in self._by_number().values() if (entry := Entry.parse(line))}
        assert written.issuperset(self.acknowledged)

    # What an attacker does. The mark knows of every entry unless a writer was killed before it could store it.

    @rule(at=PLACE)
    def edit(self, at: int) -> None:
        """Change an entry and leave its hash."""
        path, lines, line = self._somewhere(at)
        lines[line] = _changed(lines[line])
        self._expect(TAMPERED, {path: lines})

    @precondition(lambda self: self.is_marked)
    @rule(at=PLACE)
    def edit_and_seal(self, at: int) -> None:
        """Change an entry and its hash, in one place."""
        path, lines, line = self._somewhere(at)
        lines[line] = reseal(_changed(lines[line]))
        self._expect(TAMPERED, {path: lines})

    @precondition(lambda self: self.is_marked)
    @rule(at=PLACE)
    def rewrite(self, at: int) -> None:
        """Change an entry, wherever it stands, and recompute all that follows."""
        by_number = self._by_number()
        first = at % len(by_number)
        later = (Entry.parse(line) for seq, line in by_number.items() if seq > first)
        is_held = any(entry.event_type == "checkpoint" or entry.kind == "segment_opened" for entry in later)
        files = self._recomputed({first: _changed(by_number[first])})
        self._expect(TAMPERED, files)
        self._expect(TAMPERED if is_held else VALID, files, is_sidecar_used=False)

    @precondition(lambda self: self.is_marked)
    @rule()
    def unsign(self) -> None:
        """Take the signatures from the last checkpoint, and recompute all that follows."""
        signed = {seq: line for seq, line in self._by_number().items() if b'"event_type":"checkpoint"' in line}
        if signed:
            last = max(signed)
            note = re.sub(rb"(\\n\\n).*?\"}", rb'\1"}', signed[last], count=1)
            assert note != signed[last]
            self._expect(TAMPERED, self._recomputed({last: note}), is_sidecar_used=False)

    @rule(at=PLACE)
    def swap(self, at: int) -> None:
        """Exchange an entry and the next; pieces that begin with the opening of a segment may stand in any order."""
        path, lines, line = self._somewhere(at)
        pair = lines[line : line + 2]
        if len(_numbered(pair)) == 2 and not any(b'_opened"' in one for one in pair):
            lines[line], lines[line + 1] = lines[line + 1], lines[line]
            self._expect(TAMPERED, {path: lines})

    @rule(at=PLACE)
    def repeat(self, at: int) -> None:
        """Write an entry a second time behind itself."""
        path, lines, line = self._somewhere(at)
        lines.insert(line, lines[line])
        self._expect(TAMPERED, {path: lines})

    @precondition(lambda self: self.is_marked and self.log.exists() and self.log.stat().st_size)
    @rule(at=PLACE)
    def cut(self, at: int) -> None:
        """Cut entries off the end, and leave at least one."""
        lines = _lines(self.log)
        left = lines[: 1 + at % len(lines)]
        if len(left) < len(lines):
            self._expect(TAMPERED, {self.log: left})
            self._expect(TAMPERED, {self.log: left}, is_sidecar_used=False, head=self._last())

    @rule(at=PLACE)
    def drop(self, at: int) -> None:
        """Remove a segment: incomplete, unless others hold all that it held, or end before it."""
        paths = [path for path in self._segments() if path != self.log]
        if not paths:
            return
        path = paths[at % len(paths)]
        others = {seq for one in self._segments() if one != path for seq in _numbered(_lines(one))}
        dropped = {*_numbered(_lines(path))} - others
        # Without the sidecar nobody misses an end.
        is_missed = any(seq < max(others, default=0) for seq in dropped)
        status = UNVERIFIABLE if not others else INCOMPLETE if is_missed else self._innocent
        self._expect(status, {path: []}, is_sidecar_used=False)

    @rule()
    def remember(self) -> None:
        """Keep a copy of everything, for later."""
        self.kept = {path: _lines(path) for path in self._segments()}
        self.kept_status = self._innocent

    @precondition(lambda self: self.kept)
    @rule()
    def put_back(self) -> None:
        """Put the copy in the place of what was written since, before the eyes of somebody who has seen the rest."""
        last = self._last()
        is_older = max(seq for lines in self.kept.values() for seq in _numbered(lines)) < last.seq
        files: dict[Path, list[bytes]] = {path: [] for path in self._segments()} | self.kept
        self._expect(TAMPERED if is_older else self.kept_status, files, is_sidecar_used=False, head=last)

    # How it is looked at.

    @property
    def is_marked(self) -> bool:
        """Tell whether the mark is that of the last entry in the files."""
        return not (self.is_crashed or self.is_short)

    @property
    def _innocent(self) -> int:
        return INCOMPLETE if self.is_torn else VALID

    def _judge(self, *, is_sidecar_used: bool = True, head: Head | None = None) -> Report:
        sidecars = tuple(find_sidecars([str(self.log.parent)])) if is_sidecar_used else ()
        heads = (Known(head, self.origin, "an earlier look"),) if head else ()
        knowledge = Knowledge(heads, sidecars=sidecars, trust=self.trust, booted=BOOTED)
        return verify([str(self.log.parent)], Demands(from_genesis=True), knowledge)

    def _expect(
        self, status: int, files: dict[Path, list[bytes]], *, is_sidecar_used: bool = True, head: Head | None = None
    ) -> None:
        with self._tampered(files):
            report = self._judge(is_sidecar_used=is_sidecar_used, head=head)
        assert report.verdict.exit_code == status, report.findings

    @contextmanager
    def _tampered(self, files: dict[Path, list[bytes]]) -> Generator[None]:
        """Let files hold other lines for a while, each in its place: a writer tells them by their inodes."""
        before = {path: path.read_bytes() if path.exists() else None for path in files}
        for path, lines in files.items():
            data = b"".join(lines)
            overwrite(path, gzip.compress(data) if path.suffix == ".gz" else data)
        try:
            yield
        finally:
            for path, old in before.items():
                path.unlink() if old is None else overwrite(path, old)

    def _numbers(self, count: int) -> list[int]:
        self.next += count
        return list(range(self.next - count, self.next))

    def _rotated_name(self) -> Path:
        self.rotated += 1
        return self.log.with_name(f"audit.log.{self.rotated:04}")

    def _segments(self) -> list[Path]:
        return sorted(path for path in self.log.parent.iterdir() if path.is_file())

    def _by_number(self) -> dict[int, bytes]:
        """Return every entry of the log, once."""
        return {seq: line for path in self._segments() for seq, line in _numbered(_lines(path)).items()}

    def _last(self) -> Head:
        by_number = self._by_number()
        last = max(by_number)
        return Head(last, Entry.parse(by_number[last]).entry_hash)

    def _somewhere(self, at: int) -> tuple[Path, list[bytes], int]:
        """Return a place where an entry stands: the segment, its lines, and the index of one."""
        places = [
            (path, lines, index)
            for path in self._segments()
            for lines in [_lines(path)]
            for index, line in enumerate(lines)
            if _numbered([line])
        ]
        return places[at % len(places)]

    def _recomputed(self, changes: dict[int, bytes]) -> dict[Path, list[bytes]]:
        """Return all segments with some entries changed, and every hash and link behind them recomputed."""
        known: dict[int, bytes] = {}
        for seq, line in sorted(self._by_number().items()):
            known[seq] = changes.get(seq, line)
            if seq > min(changes):
                at = known[seq].rindex(b'"prev_hash":"') + 13
                known[seq] = known[seq][:at] + known[seq - 1][15:79] + known[seq][at + 64 :]
            if seq >= min(changes):
                known[seq] = reseal(known[seq])
        new = {line: known[seq] for seq, line in self._by_number().items()}
        return {path: [new.get(line, line) for line in _lines(path)] for path in self._segments()}


def _lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return _cut(gzip.decompress(data) if path.suffix == ".gz" else data)


def _cut(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def _numbered(lines: list[bytes]) -> dict[int, bytes]:
    """Return the lines that are entries, by number."""
    found: dict[int, bytes] = {}
    for line in lines:
        with suppress(MalformedEntry):
            found[Entry.parse(line).seq] = line
    return found


def _changed(line: bytes) -> bytes:
    """Let another session have written an entry; its hash stays."""
    return line.replace(b'"session_id":"5', b'"session_id":"6')


TestAnyHistory = History.TestCase
TestAnyHistory.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("ending", [(History.rotate,), (History.sign, History.rotate), (History.write, History.rotate)])
def test_an_epoch_that_ends_in_a_segment_that_was_written_again_accuses_nobody(ending: tuple[Any, ...]) -> None:
    history = History()
    history.begin()
    for _ in range(2):
        history.copy_and_truncate(0, 0)
        for step in ending:
            step(history, 0, *([1] if step is History.write else []))
            history.nobody_is_accused()
    history.teardown()
