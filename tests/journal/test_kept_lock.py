"""A lock that is kept between appends: what others do to the log meanwhile is noticed, and nobody starves."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from aegis_audit.entry import Draft
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.audit.signing import LONGEST_EPOCH, MOST_UNSIGNED
from aegis_mcp.audit.turn import LogLocked
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.lock import try_lock, unlock
from aegis_mcp.settings import AuditSettings, Durability
from support.auditor import audit
from support.journals import Meanwhile, append, draft, entries, is_strict_chain, journal, kinds, log_of, numbers
from support.processes import wait_until
from support.signatures import judge, signed_journal

# Writes entries, keeps the lock, and is killed; if so asked, the log goes meanwhile, and only a copy of it is left.
KILLED: Final = """
import os, shutil, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from support.journals import draft
from support.signatures import signed_journal
writer = signed_journal(Path(sys.argv[2]))
log = Path(sys.argv[2]) / "logs" / "audit.log"
for number in range(1, int(sys.argv[4]) + 1):
    if number == 3 and sys.argv[3] == "gone":
        shutil.copy(log, log.with_suffix(".log.1"))
        log.unlink()
    if not writer.go_on([draft(number)]):
        writer.append([draft(number)], is_synced=False, patience=5, keeps=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _keep(writer: Journal, *numbers: int) -> None:
    """Append entries one by one, and keep the lock."""
    for number in numbers:
        if not writer.go_on([draft(number)]):
            writer.append([draft(number)], is_synced=False, patience=0, keeps=True)


def _rename(log: Path) -> None:
    log.rename(log.with_suffix(".log.1"))


def _rename_and_create(log: Path) -> None:
    _rename(log)
    log.touch(mode=0o600)


def _copy_and_cut(log: Path) -> None:
    shutil.copy(log, log.with_suffix(".log.1"))
    os.truncate(log, 0)


def _compress(log: Path) -> None:
    shutil.copy(log, log.with_suffix(".log.1"))
    log.unlink()


def _cut_a_line(log: Path) -> None:
    os.truncate(log, log.stat().st_size - 10)


def _lose_the_sidecar(log: Path) -> None:
    shutil.rmtree(log.with_suffix(".tlog"))


def _move_the_sidecar(log: Path) -> None:
    log.with_suffix(".tlog").rename(log.with_suffix(".moved"))


def _nothing(_: Path) -> None:
    pass


def _tear(log: Path) -> None:
    with log.open("ab") as stream:
        stream.write(b'{"entry_hash":"')


ACTS: Final = (_rename, _rename_and_create, _copy_and_cut, _compress, _cut_a_line, _lose_the_sidecar, _tear)


def _segments(log: Path) -> list[Path]:
    return sorted(log.parent.glob("audit.log*"), reverse=True)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_happens_to_the_log_while_the_lock_is_kept_loses_nothing(
    tmp_path: Path, count: int, act: Callable[[Path], None]
) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    _keep(writer, 1, 2)
    act(log)
    _keep(writer, *range(3, 3 + count))
    writer.leave()
    append(journal(tmp_path), 5)
    assert is_strict_chain(*_segments(log))
    assert numbers(*_segments(log)) == [1, 2, *range(3, 3 + count), 5]
    assert audit("verify", *_segments(log)).status == 0


def test_who_waits_goes_on_waiting_when_the_sidecar_was_removed(tmp_path: Path) -> None:
    first, second = journal(tmp_path), journal(tmp_path)
    append(second, 1)
    _keep(first, 2)
    _lose_the_sidecar(log_of(tmp_path))
    with pytest.raises(LogLocked):
        append(second, 3, patience=0.01)
    first.leave()
    append(second, 3)
    assert numbers(log_of(tmp_path)) == [1, 2, 3]
    assert is_strict_chain(log_of(tmp_path))


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("act", [_rename, _rename_and_create, _copy_and_cut, _compress])
@pytest.mark.parametrize("lose", [_lose_the_sidecar, _move_the_sidecar])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_sidecar_that_goes_together_with_the_log_loses_nothing(
    tmp_path: Path,
    is_first: bool,
    lose: Callable[[Path], None],
    act: Callable[[Path], None],
    is_kept: bool,
    count: int,
) -> None:
    writers, log = [signed_journal(tmp_path) for _ in range(count)], log_of(tmp_path)
    for number in (1, 2, 3):
        append(writers[number % count], number)
    if is_kept:
        _keep(writers[0], 4)
    else:
        append(writers[0], 4)
    for harm in (lose, act) if is_first else (act, lose):
        harm(log)
    for number in (5, 6, 7):
        append(writers[(number + 1) % count], number)
    assert is_strict_chain(*_segments(log))
    assert numbers(*_segments(log)) == [1, 2, 3, 4, 5, 6, 7]
    assert audit("verify", *_segments(log)).status == 0


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_directory_that_is_moved_while_gateways_run_is_gone_on_from(tmp_path: Path, is_kept: bool) -> None:
    first, second, log = signed_journal(tmp_path), signed_journal(tmp_path), log_of(tmp_path)
    append(second, 1)
    _keep(first, 2)
    if not is_kept:
        first.leave()
    moved = log.parent.rename(tmp_path / "moved") / log.name
    _keep(first, 3)
    first.leave()
    append(second, 4)
    append(signed_journal(tmp_path), 5)
    append(first, 6)
    assert is_strict_chain(moved, log)
    assert numbers(moved, log) == [1, 2, 3, 4, 5, 6]
    assert audit("verify", moved, log).status == 0


def test_what_was_written_to_a_file_that_had_gone_is_written_again_when_the_lock_is_given_back(tmp_path: Path) -> None:
    writer, log = journal(tmp_path), log_of(tmp_path)
    _keep(writer, 1)
    _compress(log)
    _keep(writer, 2, 3)
    writer.leave()
    assert entries(log)[0].event["replay"] == [2, 3]
    assert numbers(*_segments(log)) == [1, 2, 3]
    assert [audit("verify", *paths).status for paths in (_segments(log), *zip(_segments(log)))] == [0, 0, 0]


@pytest.mark.parametrize("act", [*ACTS, _nothing])
def test_what_a_writer_has_written_that_was_killed_while_it_kept_the_lock_is_gone_on_from(
    tmp_path: Path, act: Callable[[Path], None]
) -> None:
    log, tests = log_of(tmp_path), str(Path(__file__).parents[1])
    arguments = (tests, str(tmp_path), "there", "3")
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, timeout=60)
    assert killed.returncode < 0
    act(log)
    append(journal(tmp_path), 4)
    assert is_strict_chain(*_segments(log))
    assert numbers(*_segments(log)) == [1, 2, 3, 4]
    assert audit("verify", *_segments(log)).status == 0


@pytest.mark.parametrize("count", [3, MOST_UNSIGNED + 10])
def test_what_a_killed_writer_wrote_to_a_file_that_had_gone_is_written_again(tmp_path: Path, count: int) -> None:
    log, tests = log_of(tmp_path), str(Path(__file__).parents[1])
    arguments = (tests, str(tmp_path), "gone", str(count))
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, timeout=60)
    assert killed.returncode < 0
    append(signed_journal(tmp_path), 1000)
    assert is_strict_chain(*_segments(log))
    assert numbers(*_segments(log)) == [*range(1, count + 1), 1000]
    assert audit("verify", *_segments(log)).status == 0


class Failing(list[Draft]):
    """Entries of which none can be written, as on a full disk."""

    def __iter__(self) -> Iterator[Draft]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("act", [*ACTS, _nothing])
def test_what_was_written_before_a_disk_was_full_is_there_whoever_comes_next(
    tmp_path: Path, act: Callable[[Path], None]
) -> None:
    first, second, log = journal(tmp_path), journal(tmp_path), log_of(tmp_path)
    _keep(first, 1)
    act(log)
    _keep(first, 2, 3)
    with pytest.raises(AuditUnavailable):
        first.go_on(Failing([draft(4)]))
    append(second, 5)
    _keep(first, 6)
    first.leave()
    assert is_strict_chain(*_segments(log))
    assert numbers(*_segments(log)) == [1, 2, 3, 5, 6]
    assert audit("verify", *_segments(log)).status == 0


def test_a_log_that_is_cut_to_nothing_after_an_error_is_gone_on_with(tmp_path: Path) -> None:
    first, log = journal(tmp_path), log_of(tmp_path)
    _keep(first, 1, 2)
    with pytest.raises(AuditUnavailable):
        first.go_on(Failing([draft(3)]))
    _copy_and_cut(log)
    first.leave()
    append(journal(tmp_path), 4)
    assert is_strict_chain(*_segments(log))
    assert numbers(*_segments(log)) == [1, 2, 4]


def test_a_lock_that_was_removed_while_it_was_kept_is_not_relied_on(tmp_path: Path) -> None:
    first, second, log = journal(tmp_path), journal(tmp_path), log_of(tmp_path)
    _keep(first, 1, 2)
    (log.with_suffix(".tlog") / "lock").unlink()
    _keep(second, 3)
    with pytest.raises(LogLocked):
        _keep(first, 4)
    second.leave()
    _keep(first, 5)
    first.leave()
    append(second, 6)
    assert is_strict_chain(log)
    assert numbers(log) == [1, 2, 3, 5, 6]


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_lock_that_was_removed_before_an_entry_is_written_is_taken_again(tmp_path: Path, is_kept: bool) -> None:
    first, second, log = journal(tmp_path), journal(tmp_path), log_of(tmp_path)

    def take_over() -> None:
        if numbers(log) == [1]:
            (log.with_suffix(".tlog") / "lock").unlink()
            append(second, 2)

    _keep(first, 1)
    if not is_kept:
        first.leave()
    drafts = Meanwhile(take_over, draft(3))
    assert not first.go_on(drafts)
    first.append(drafts, is_synced=False, patience=0)
    append(second, 4)
    assert is_strict_chain(log)
    assert numbers(log) == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["head", "tail", "queue"])
def test_what_stands_beside_a_log_is_put_back_when_it_was_removed(tmp_path: Path, name: str) -> None:
    first, log = journal(tmp_path), log_of(tmp_path)
    sidecar = log.with_suffix(".tlog")
    _keep(first, 1, 2)
    first.leave()
    (sidecar / name).unlink()
    _keep(first, 3)
    first.leave()
    assert {path.name for path in sidecar.iterdir()} == {"head", "lock", "queue", "tail"}
    _rename(log)
    append(journal(tmp_path), 4)
    append(first, 5)
    assert is_strict_chain(*_segments(log))
    assert numbers(*_segments(log)) == [1, 2, 3, 4, 5]
    assert audit("verify", *_segments(log)).status == 0


def test_who_waits_is_seen_when_the_queue_was_removed(tmp_path: Path) -> None:
    first, log = journal(tmp_path), log_of(tmp_path)
    _keep(first, 1)
    first.leave()
    (log.with_suffix(".tlog") / "queue").unlink()
    queue = os.open(log.with_suffix(".tlog") / "queue", os.O_RDWR | os.O_CREAT, 0o600)
    assert try_lock(queue)
    _keep(first, 2)
    append(journal(tmp_path), 3, patience=0)
    os.close(queue)
    assert numbers(log) == [1, 2, 3]


def test_a_log_is_signed_and_handed_over_while_the_lock_is_kept(tmp_path: Path) -> None:
    writer = signed_journal(tmp_path)
    _keep(writer, *range(LONGEST_EPOCH + 1))
    writer.leave()
    append(signed_journal(tmp_path), LONGEST_EPOCH + 1)
    assert numbers(log_of(tmp_path)) == list(range(LONGEST_EPOCH + 2))
    assert kinds(log_of(tmp_path)) == ["log_opened", "key_epoch"]
    assert is_strict_chain(log_of(tmp_path))
    covered, epoch = judge(log_of(tmp_path))
    assert covered + MOST_UNSIGNED >= len(entries(log_of(tmp_path)))
    assert epoch == 1


def test_the_lock_is_held_until_it_is_given_back(tmp_path: Path) -> None:
    first, second = journal(tmp_path), journal(tmp_path)
    _keep(first, 1)
    with pytest.raises(LogLocked):
        _keep(second, 2)
    first.leave()
    _keep(second, 3)
    second.leave()
    append(first, 4)
    assert numbers(log_of(tmp_path)) == [1, 3, 4]
    assert is_strict_chain(log_of(tmp_path))


def test_nobody_keeps_the_lock_while_another_waits_for_it(tmp_path: Path) -> None:
    first, second = journal(tmp_path), journal(tmp_path)
    _keep(first, 1)
    waiting = threading.Thread(target=append, args=(second, 2))
    waiting.start()
    queue = os.open(log_of(tmp_path).with_suffix(".tlog") / "queue", os.O_RDWR)
    wait_until(lambda: not _is_free(queue))
    os.close(queue)
    first.leave()
    first.append([draft(3)], is_synced=False, patience=10, keeps=True)
    waiting.join(20)
    assert not waiting.is_alive()
    assert sorted(numbers(log_of(tmp_path))) == [1, 2, 3]
    assert is_strict_chain(log_of(tmp_path))


def _is_free(descriptor: int) -> bool:
    is_free = try_lock(descriptor)
    if is_free:
        unlock(descriptor)
    return is_free


@pytest.mark.parametrize("durability", Durability)
def test_a_recorder_lets_others_write_while_its_loop_goes_on(tmp_path: Path, durability: Durability) -> None:
    async def commit() -> None:
        recorder = Recorder(journal(tmp_path), AuditSettings(durability=durability, deadline=20))
        other = journal(tmp_path)
        for number in range(0, 40, 2):
            await recorder.commit([draft(number)], is_write=number % 3 == 0)
            await asyncio.to_thread(append, other, number + 1)
        await recorder.close()

    asyncio.run(commit())
    assert numbers(log_of(tmp_path)) == list(range(40))
    assert is_strict_chain(log_of(tmp_path))


def test_an_end_gives_the_lock_back_and_says_where_the_log_ends(tmp_path: Path) -> None:
    async def commit() -> None:
        recorder = Recorder(journal(tmp_path), AuditSettings(durability=Durability.FLUSH))
        await recorder.commit([draft(1)], is_write=False)
        await recorder.close()

    asyncio.run(commit())
    assert journal(tmp_path).head(patience=0).seq == 1
