"""Histories without an attacker: whatever crashes, rotations and people in good faith do is valid or incomplete.

The writer is the real one, with keys; the verifier finds sidecar and keys by itself, as on the host of the log.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from aegis_audit.archive import find_segments
from aegis_audit.chain import Head
from aegis_audit.checks.known import Known
from aegis_audit.errors import Unprovable
from aegis_audit.finding import FindingCode
from aegis_audit.key import find_roots
from aegis_audit.proving import head_of
from aegis_audit.sidecar import booted_at, find_sidecars
from aegis_audit.trust import Trust
from aegis_audit.verdict import Verdict
from aegis_audit.verify import Knowledge, verify
from aegis_mcp.settings import Rotation, Signatures
from support.auditor import audit
from support.journals import append, entries, log_of
from support.logs import COMPRESSIONS, write
from support.signatures import keys_of, signed_journal
from support.signed import epoch_key, signed_log
from support.tools import program

INNOCENT: Final = {0, 4}

Moment = tuple[str, list[Path]]
"""What has just happened, and the paths that somebody verifies then."""

HISTORIES: Final[dict[str, Callable[[Path], Iterator[Moment]]]] = {}


def history(name: str) -> Callable[[Callable[[Path], Iterator[Moment]]], Callable[[Path], Iterator[Moment]]]:
    def add(tell: Callable[[Path], Iterator[Moment]]) -> Callable[[Path], Iterator[Moment]]:
        HISTORIES[name] = tell
        return tell

    return add


def begun(home: Path, rotation: Rotation | None = None) -> Path:
    """Let a gateway write a signed log, and return it."""
    writer = signed_journal(home, rotation or Rotation())
    append(writer, 1, 2, 3)
    writer.checkpoint(patience=10)
    append(writer, 4)
    writer.close()
    return log_of(home)


def go_on(home: Path, *numbers: int) -> None:
    """Let another gateway write on."""
    writer = signed_journal(home)
    append(writer, *numbers)
    writer.checkpoint(patience=10)
    writer.close()


def put_back(log: Path, content: bytes) -> None:
    """Let the very file hold this."""
    with log.open("r+b") as file:
        file.write(content)
        file.truncate()


@history("a crash after each byte of a write")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    sidecar = log.with_suffix(".tlog")
    before, marks = log.read_bytes(), (sidecar / "head").read_bytes()
    checkpoint = (sidecar / "checkpoint").read_bytes()
    go_on(home, 5)
    after = log.read_bytes()
    # A checkpoint gets there only when all that it covers is on the disk.
    (sidecar / "checkpoint").write_bytes(checkpoint)
    for end in range(len(before), len(after)):
        put_back(log, after[:end])
        (sidecar / "head").write_bytes(marks)
        yield f"{end - len(before)} bytes are written", [log]
    put_back(log, after)
    yield "all bytes are written, and the mark is not", [log]


@history("a crash after some bytes of a write, and a gateway that goes on")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    for number, size in enumerate((1, 80, 81, 200), 5):
        with log.open("ab") as file:
            file.write((b'{"entry_hash":"' + b"ab" * 200)[:size])
        yield f"{size} bytes are torn", [log]
        go_on(home, number)
        yield "it is attested", [log]


@history("two gateways in turns")
def _(home: Path) -> Iterator[Moment]:
    one, other = signed_journal(home), signed_journal(home)
    for number in range(0, 10, 2):
        append(one, number)
        append(other, number + 1)
        yield f"{number + 2} calls", [log_of(home)]


@history("a rotation that renames, at each phase")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    rotated = log.with_name("audit.log.1")
    yield "before", [log]
    log.rename(rotated)
    yield "renamed", [log.parent]
    yield "renamed, one segment alone", [rotated]
    yield "renamed, the log alone", [log]
    log.touch(0o600)
    yield "made anew", [log.parent]
    yield "made anew, the log alone", [log]
    go_on(home, 5)
    yield "gone on", [log.parent]
    yield "gone on, the log alone", [log]
    yield "gone on, one segment alone", [rotated]


@history("a rotation that copies and cuts, at each phase")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    copy = Path(shutil.copy(log, log.with_name("audit.log.1")))
    yield "copied", [log.parent]
    go_on(home, 5)
    yield "written between copy and cut", [log.parent]
    os.truncate(log, 0)
    yield "cut", [log.parent]
    yield "cut, the log alone", [log]
    go_on(home, 6)
    yield "gone on", [log.parent]
    yield "gone on, the log alone", [log]
    yield "gone on, the copy alone", [copy]


@history("a rotation that copies in the middle of a write, and cuts")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    before = log.stat().st_size
    go_on(home, 5)
    content = log.read_bytes()
    os.truncate(log, 0)
    copy = log.with_name("audit.log.1")
    for end in range(before, len(content), 7):
        write(copy, [content[:end]])
        yield f"{end - before} bytes of it are copied, and the log is cut", [log.parent]
    go_on(home, 6)
    for end in range(before, len(content), 7):
        write(copy, [content[:end]])
        yield f"{end - before} bytes of it are copied, and it is written again", [log.parent]


@history("a rotation that copies to a place that nobody looks at, and cuts")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    os.truncate(log, 0)
    yield "cut", [log]
    go_on(home, 6)
    yield "gone on", [log]


@history("segments that are compressed and dated")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    for number, (suffix, compress) in enumerate(COMPRESSIONS.items(), 5):
        rotated = log.rename(log.with_name(f"audit.log-2026112{number}"))
        go_on(home, number)
        yield "renamed", [log.parent]
        rotated.with_name(f"{rotated.name}.{suffix}").write_bytes(compress(rotated.read_bytes()))
        yield "compressed, and not removed yet", [log.parent]
        rotated.unlink()
        yield "compressed", [log.parent]


@history("a log that rotates by itself")
def _(home: Path) -> Iterator[Moment]:
    writer = signed_journal(home, Rotation(max_bytes=4000))
    for number in range(30):
        append(writer, number)
        yield f"call {number}", [log_of(home).parent]


@history("a log whose old segments are not kept")
def _(home: Path) -> Iterator[Moment]:
    writer = signed_journal(home, Rotation(max_bytes=4000, keep_segments=1))
    for number in range(30):
        append(writer, number)
        yield f"call {number}", [log_of(home).parent]


@history("a clock that is set back")
def _(home: Path) -> Iterator[Moment]:
    log = signed_log(1)
    log.now -= timedelta(days=400)
    log.call(1)
    log.checkpoint()
    yield "set back", [write(home / "clock.log", log.lines)]


@history("any part of a log that somebody hands out")
def _(home: Path) -> Iterator[Moment]:
    lines = begun(home).read_bytes().splitlines(keepends=True)
    for start in range(len(lines)):
        for end in range(start + 1, len(lines) + 1):
            yield f"lines {start} to {end}", [write(home / "part.log", lines[start:end])]


@history("a copy that jq has written anew")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    jq = program("jq")
    assert jq
    done = subprocess.run([jq, "-cS", "."], input=log.read_bytes(), capture_output=True, check=True, timeout=60)
    assert done.stdout == log.read_bytes()
    yield "sorted and compact, which is how it was", [write(home / "copy.log", [done.stdout])]


@history("a copy of the directory that was made while the log grew")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    before = log.read_bytes()
    go_on(home, 5)
    shutil.copytree(log.parent, home / "copy")
    (home / "copy" / "audit.log").write_bytes(before)
    yield "the log first, then the sidecar", [home / "copy"]


@history("a sidecar that is lost")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    shutil.rmtree(log.with_suffix(".tlog"))
    yield "lost", [log]
    go_on(home, 5)
    yield "gone on", [log]


@history("a log that is removed")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    log.unlink()
    yield "removed", [log.parent]
    go_on(home, 5)
    yield "gone on", [log.parent]


@history("many gateways, one after the other")
def _(home: Path) -> Iterator[Moment]:
    for number in range(5):
        go_on(home, number)
        yield f"gateway {number}", [log_of(home)]


@history("keys that are lost, where a log may go on without")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    shutil.rmtree(home / "keys")
    writer = signed_journal(home, keys=keys_of(home, Signatures.OPTIONAL))
    append(writer, 5)
    append(writer, 6)
    yield "gone on", [log]


@history("segments in any order, twice, and in one file")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    rotated = log.rename(log.with_name("audit.log.1"))
    go_on(home, 5)
    yield "backwards", [log, rotated]
    link = log.with_name("audit.log.2")
    link.symlink_to(rotated)
    yield "one of them twice", [log, rotated, link]
    yield "put together", [write(home / "all.log", [log.read_bytes(), rotated.read_bytes()])]


@history("a crash in a handover, which is done again")
def _(home: Path) -> Iterator[Moment]:
    log = signed_log(1)
    log.announce(1, epoch_key(1))
    yield "announced", [write(home / "handover.log", log.lines)]
    log.announce(1, epoch_key(1))
    log.epoch_keys.append(epoch_key(1))
    log.checkpoint(log.log_key, epoch_key(0), epoch_key(1))
    yield "handed over", [write(home / "handover.log", log.lines)]
    log.checkpoint(log.log_key, epoch_key(0), epoch_key(1))
    log.checkpoint()
    yield "signed by both once more, before the old key was gone", [write(home / "handover.log", log.lines)]


@history("a mark that lags behind the log")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    head = log.with_suffix(".tlog") / "head"
    marks = head.read_bytes()
    go_on(home, 5, 6)
    head.write_bytes(marks)
    yield "two entries and a checkpoint", [log]


@history("a machine that goes down and loses what was not synced")
def _(home: Path) -> Iterator[Moment]:
    log = begun(home)
    put_back(log, b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    yield "up again", [log]


def statuses(home: Path, paths: list[Path], *, is_rebooted: bool) -> int:
    """Return the status that `verify` gives, with all that it finds on this host."""
    given = list(map(str, paths))
    trust = Trust(discover=lambda origin: find_roots(origin, home / "keys"))
    booted = None if is_rebooted else booted_at()
    knowledge = Knowledge(sidecars=tuple(find_sidecars(given)), trust=trust, booted=booted)
    return verify(given, knowledge=knowledge).verdict.exit_code


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.jq) if "jq" in name else name for name in HISTORIES]
)
def test_nobody_is_accused(tmp_path: Path, name: str) -> None:
    is_rebooted = "machine" in name
    for moment, paths in HISTORIES[name](tmp_path):
        assert statuses(tmp_path, paths, is_rebooted=is_rebooted) in INNOCENT, moment


def test_there_are_twenty_and_more() -> None:
    assert len(HISTORIES) >= 20


def test_a_log_that_grows_and_is_rotated_and_compressed_meanwhile_is_never_accused(tmp_path: Path) -> None:
    log, over = begun(tmp_path), threading.Event()

    def write_and_rotate() -> None:
        for number in range(5, 65):
            go_on(tmp_path, number)
            if number % 10 == 0:
                rotated = log.rename(log.with_name(f"audit.log.{number}"))
                packed = rotated.with_name(f"{rotated.name}.gz")
                packed.write_bytes(gzip.compress(rotated.read_bytes()))
                rotated.unlink()
        over.set()

    writer = threading.Thread(target=write_and_rotate)
    writer.start()
    seen: set[int] = set()
    while not over.is_set():
        seen.add(statuses(tmp_path, [log.parent], is_rebooted=False))
    writer.join(60)
    assert seen <= INNOCENT
    assert statuses(tmp_path, [log.parent], is_rebooted=False) == 0
    assert len(entries(log)) >= 1


def went_away(log: Path) -> None:
    log.rename(log.with_name("audit.log.2"))


def was_replaced(log: Path) -> None:
    went_away(log)
    log.touch()


def was_cut(log: Path) -> None:
    shutil.copyfile(log, log.with_name("audit.log.2"))
    os.truncate(log, 0)


@pytest.mark.parametrize("rotate", [went_away, was_replaced, was_cut])
@pytest.mark.parametrize("is_known", [False, True])
def test_what_a_rotation_takes_away_behind_the_listing_is_missing_and_no_contradiction(
    tmp_path: Path, rotate: Callable[[Path], None], *, is_known: bool
) -> None:
    log = begun(tmp_path)
    log.rename(log.with_name("audit.log.1"))
    go_on(tmp_path, 5, 6)
    last = entries(log)[-1]
    head = Known(Head(last.seq, last.entry_hash), None, "a release")
    knowledge = Knowledge(heads=(head,) if is_known else ())

    def progress(_: int) -> None:
        if not log.with_name("audit.log.2").exists():
            rotate(log)

    report = verify([str(log.parent)], knowledge=knowledge, progress=progress)
    codes = {finding.code for finding in report.findings if not finding.code.is_note}
    assert report.verdict is Verdict.INCOMPLETE
    assert codes == {FindingCode.MOVED} | ({FindingCode.SHORT_OF_HEAD} if is_known else set())
    assert verify([str(log.parent)], knowledge=knowledge).verdict is Verdict.VALID


def test_what_a_rotation_takes_away_excuses_no_contradiction_in_what_is_there(tmp_path: Path) -> None:
    log = begun(tmp_path)
    log.rename(log.with_name("audit.log.1"))
    go_on(tmp_path, 5, 6)
    knowledge = Knowledge(heads=(Known(Head(1, "ab" * 32), None, "a release"),))

    def progress(_: int) -> None:
        if log.exists():
            went_away(log)

    report = verify([str(log.parent)], knowledge=knowledge, progress=progress)
    codes = {finding.code for finding in report.findings if not finding.code.is_note}
    assert (report.verdict, codes) == (Verdict.TAMPERED, {FindingCode.MOVED, FindingCode.FALSE_HEAD})


def test_a_log_of_which_something_is_taken_away_while_it_is_read_has_no_head_to_keep(tmp_path: Path) -> None:
    log = begun(tmp_path)
    log.rename(log.with_name("audit.log.1"))
    go_on(tmp_path, 5, 6)

    def progress(_: int) -> None:
        if log.exists():
            went_away(log)

    with pytest.raises(Unprovable, match="moved away or shortened"):
        head_of(find_segments([str(log.parent)]), progress)
    assert (
        head_of(find_segments([str(log.parent)]), lambda _: None).size
        == entries(log.with_name("audit.log.2"))[-1].seq + 1
    )


def test_the_command_finds_sidecar_and_keys_of_a_real_log_and_says_so(tmp_path: Path) -> None:
    log = begun(tmp_path)
    go_on(tmp_path, 5)
    outcome = audit("verify", "--require", "a2", log, env={"AEGIS_KEYS": str(tmp_path / "keys")})
    assert outcome.status == 0
    assert "level A2 forward-secure" in outcome.stdout
    assert f"kept on this host in {tmp_path / 'keys'}" in outcome.stdout
    assert "This key is as trustworthy as this host." in outcome.stdout
    assert f"Compared with sidecar {log.with_suffix('.tlog')}" in outcome.stdout
    assert audit("verify", "--require", "a1", log, env={"AEGIS_KEYS": str(tmp_path / "none")}).status == 5


def test_a_log_that_is_to_be_signed_is_so_to_its_end_whenever_a_gateway_is_at_rest(tmp_path: Path) -> None:
    log = begun(tmp_path)
    demand = ("verify", "--require", "a1", log.parent)
    environment = {"AEGIS_KEYS": str(tmp_path / "keys")}
    outcome = audit(*demand, env=environment)
    assert outcome.status == 4
    assert "behind the last one; the gateway signs them within seconds" in outcome.stdout
    assert audit(*demand, "--max-uncovered", "300", env=environment).status == 0
    go_on(tmp_path, 5)
    assert audit(*demand, env=environment).status == 0
    for number in (6, 7):
        writer = signed_journal(tmp_path, Rotation(keep_segments=1))
        assert writer.rotate("on demand", patience=10)
        assert audit(*demand, env=environment).status == 0
        append(writer, number)
        writer.checkpoint(patience=10)
        writer.close()
