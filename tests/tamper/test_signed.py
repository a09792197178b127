"""Signed logs: how much the keys that count cover, in any order of segments; and what is signed wrongly is found."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from aegis_audit.chain import Head
from aegis_audit.checks.known import Known
from aegis_audit.checks.ledger import MAX_DEFERRED
from aegis_audit.demand import Demands
from aegis_audit.entry import Entry
from aegis_audit.epoch import Roots
from aegis_audit.errors import UnusableKey
from aegis_audit.level import Level
from aegis_audit.note import SigningKey, VerifierKey
from aegis_audit.report import Report
from aegis_audit.trust import Pin, Trust
from aegis_audit.verify import Knowledge, verify
from support.auditor import audit
from support.logs import ORIGIN, LogBuilder, small_log, write
from support.signed import LOG_KEY, SignedBuilder, epoch_key, note_in, signed_log

LOG: Final = LOG_KEY.verifier
EPOCH: Final = epoch_key(0).verifier
STOLEN: Final = SigningKey(ORIGIN, b"S" * 32)


def judged(*paths: Path, keys: tuple[VerifierKey, ...] = (LOG, EPOCH), **demands: Any) -> Report:
    knowledge = Knowledge(trust=Trust([Pin(key, "pinned") for key in keys]))
    return verify([str(path) for path in paths], Demands(**demands), knowledge)


def found(report: Report) -> list[str]:
    return [one.code.identifier for one in report.findings if not one.code.is_note]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write(tmp_path / "audit.log", signed_log(2, 2, 1).lines)


# What is covered.


@pytest.mark.parametrize(
    ("keys", "level"),
    [((), Level.A0), ((LOG,), Level.A1), ((EPOCH,), Level.A2), ((LOG, EPOCH), Level.A2)],
)
def test_a_level_is_reached_by_the_keys_that_count(log: Path, keys: tuple[VerifierKey, ...], level: Level) -> None:
    report = judged(log, keys=keys)
    assert found(report) == []
    (one,) = report.logs
    assert (one.level, one.entries) == (level, 20)
    assert one.uncovered[level] == (20 if level is Level.A0 else 1)
    assert one.declared == tuple(map(str, (LOG, EPOCH, epoch_key(1).verifier, epoch_key(2).verifier)))


def test_the_key_of_a_later_epoch_vouches_for_what_it_has_signed(log: Path) -> None:
    report = judged(log, keys=(epoch_key(2).verifier,))
    assert (found(report), report.level) == ([], Level.A2)


def test_an_end_that_no_checkpoint_covers_is_counted_and_bounded_on_demand(tmp_path: Path) -> None:
    log = signed_log(1)
    log.call(8)
    path = write(tmp_path / "audit.log", log.lines)
    assert judged(path).logs[0].uncovered[Level.A2] == 3
    assert found(judged(path, max_uncovered=3)) == []
    report = judged(path, max_uncovered=2)
    assert (found(report), report.verdict.exit_code) == (["AEG208"], 4)


@pytest.mark.parametrize("calls", [(1,), (1, 1)])
def test_an_entry_that_nobody_has_signed_makes_no_signed_log_younger(tmp_path: Path, calls: tuple[int, ...]) -> None:
    log = signed_log(*calls)
    signed_at = f"{log.now:%Y-%m-%dT%H:%M:%S.%f}"
    log.now += timedelta(days=365)
    log.open_segment()
    path = write(tmp_path / "audit.log", log.lines)
    since = f"{log.now - timedelta(days=1):%Y-%m-%dT%H:%M:%S.%fZ}"
    assert found(judged(path, not_before=since)) == []
    for level in (Level.A1, Level.A2):
        (finding,) = (one for one in judged(path, level=level, not_before=since).findings if not one.code.is_note)
        assert (finding.code.identifier, finding.expected) == ("AEG207", f"a signed entry since {since}")
        assert finding.found == Entry.parse(log.lines[-3]).timestamp < signed_at
        assert found(judged(path, level=level, not_before=finding.found)) == []
    log.checkpoint()
    write(path, log.lines)
    assert found(judged(path, level=Level.A2, not_before=since)) == []


def test_an_entry_of_another_log_makes_no_signed_log_younger(tmp_path: Path) -> None:
    log, other = SignedBuilder(), LogBuilder(origin="other.example/aegis")
    log.open_log()
    log.checkpoint()
    other.now = log.now + timedelta(days=365)
    other.open_log()
    other.call(0)
    path = write(tmp_path / "audit.log", [log.lines[0], *other.lines, log.lines[1]])
    since = f"{other.now - timedelta(days=1):%Y-%m-%dT%H:%M:%S.%fZ}"
    report = judged(path, not_before=since, level=Level.A1)
    assert [(one.code.identifier, one.found) for one in report.findings if not one.code.is_note] == [
        ("AEG207", Entry.parse(log.lines[1]).timestamp),
        ("AEG303", "level A0"),
        ("AEG002", f"an entry of {ORIGIN!r}"),
    ]


@pytest.mark.parametrize("level", list(Level))
def test_a_level_that_is_demanded_and_not_reached_is_unverifiable(log: Path, level: Level) -> None:
    assert found(judged(log, keys=(LOG,), level=level)) == ([] if level <= Level.A1 else ["AEG303"])
    plain = write(log.with_name("plain.log"), small_log(1))
    report = judged(plain, level=level)
    assert (found(report), report.verdict.exit_code) == (([], 0) if level is Level.A0 else (["AEG303"], 5))


def test_the_command_says_what_it_used_and_what_it_lacks(log: Path) -> None:
    lacking = audit("verify", log, "--require", "a1")
    assert lacking.status == 5
    assert f"    {LOG}\n" in lacking.stdout
    assert "Give one of them with --key" in lacking.stdout
    shown = audit("verify", log, "--key", str(LOG), "--require", "a1").stdout
    assert shown.startswith("VALID  20 entries in 1 segment, level A1 signed; exit status 0\n")
    assert f"  A1 signed, not covered: 1 entry of 20\n  by key {LOG}, pinned\n" in shown
    file = write(log.with_name("keys"), [b"# of the desk\n\n", str(LOG).encode() + b"\n", str(EPOCH).encode() + b"\n"])
    outcome = audit("verify", log, "--key", file, "--require", "a2", "--format", "json")
    assert (outcome.status, outcome.json["assurance"], outcome.json["logs"][0]["uncovered"]) == (0, "A2", 1)
    assert outcome.json["logs"][0]["keys"] == [{"key": str(key), "source": f"pinned by {file}"} for key in (LOG, EPOCH)]
    assert outcome.json["not_shown"] == Level.A2.not_shown
    empty = write(log.with_name("none"), [b"# of nobody\n\n"])
    for wrong in ("nonsense", log, empty):
        assert audit("verify", log, "--key", wrong).status == 2
    assert audit("verify", log, "--require", "a9").status == 2


def test_keys_of_this_host_that_cannot_be_used_are_said_to_be_so_for_their_log_alone(log: Path) -> None:
    def discover(origin: str) -> Roots | None:
        if origin == ORIGIN:
            raise UnusableKey("/keys", "it is no key")
        return SignedBuilder(origin=origin).roots

    other = SignedBuilder(origin="other.example/aegis")
    other.open_log()
    other.checkpoint()
    paths = [str(log), str(write(log.with_name("other.log"), other.lines))]
    report = verify(paths, knowledge=Knowledge(trust=Trust(discover=discover)))
    assert [(one.level, one.key_problem, one.is_of_host) for one in report.logs] == [
        (Level.A0, "key '/keys': it is no key", False),
        (Level.A2, "", True),
    ]
    assert report.level is Level.A0
    assert [one["key_problem"] for one in report.to_json()["logs"]] == ["key '/keys': it is no key", None]
    report = verify(paths, knowledge=Knowledge(trust=Trust([Pin(LOG, "pinned")], discover)))
    assert [(one.level, one.key_problem, one.is_of_host) for one in report.logs] == [
        (Level.A1, "", False),
        (Level.A0, "", False),
    ]


def test_where_a_key_is_given_those_of_this_host_do_not_count_for_another_log(log: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    kept = keys / quote(ORIGIN, safe="") / "public"
    for directory in (keys, kept.parent):
        directory.mkdir(mode=0o700)
    write(kept, [f"{LOG}\n{EPOCH}\n".encode()]).chmod(0o600)
    demanding = partial(audit, "verify", "--require", "a2", "--format", "json", log, env={"AEGIS_KEYS": str(keys)})
    here = demanding()
    assert (here.status, here.json["assurance"]) == (0, "A2")
    other = demanding("--key", str(epoch_key(0, origin="other.example/aegis").verifier))
    assert (other.status, other.json["assurance"], other.json["counts"]) == (5, "A0", {"AEG303": 1})
    assert demanding("--key", str(EPOCH)).status == 0


# Segments.


def segments() -> list[list[bytes]]:
    log = signed_log(1)
    parts = [log.rotate()]
    log.checkpoint()
    log.hand_over()
    log.call(5)
    log.checkpoint()
    parts.append(log.rotate())
    log.call(6)
    log.checkpoint()
    return [*parts, log.lines]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_segments_in_any_order_are_covered_as_one_log(tmp_path: Path, order: tuple[int, ...]) -> None:
    parts = segments()
    paths = [write(tmp_path / f"{9 - number}.log", parts[number]) for number in order]
    together = write(tmp_path / "together", [line for number in order for line in parts[number]])
    for report in (judged(*paths, keys=(EPOCH,)), judged(together, keys=(EPOCH,))):
        assert (found(report), report.level, report.logs[0].uncovered[Level.A2]) == ([], Level.A2, 1)


def test_a_segment_alone_is_covered_by_the_tree_that_it_brings_along(tmp_path: Path) -> None:
    for number, part in enumerate(segments()):
        path = write(tmp_path / f"{number}.log", part)
        report = judged(path, keys=(LOG,))
        assert (found(report), report.level, report.logs[0].uncovered[Level.A1]) == ([], Level.A1, 1)
    last = write(tmp_path / "last.log", segments()[2])
    report = judged(last, keys=(LOG, epoch_key(1).verifier), from_genesis=False)
    assert (found(report), report.level) == ([], Level.A2)


def test_a_tree_that_is_not_that_of_the_entries_before_is_tampering(tmp_path: Path) -> None:
    log = signed_log(1)
    first = log.lines
    log.lines = []
    log.open_segment(tree=[("ab" * 32) for _ in log.tree.hashes])
    log.call(3)
    log.checkpoint()
    paths = write(tmp_path / "1.log", first), write(tmp_path / "2.log", log.lines)
    assert found(judged(*paths)) == found(judged(*reversed(paths))) == ["AEG007"]
    assert found(judged(write(tmp_path / "together", [*log.lines, *first]))) == ["AEG007"]
    assert found(judged(paths[1])) == ["AEG011"]


@pytest.mark.parametrize("keys", [(LOG_KEY,), (LOG_KEY, epoch_key(1)), (LOG_KEY, epoch_key(0, 7))])
def test_what_is_signed_wrongly_is_found_before_the_segment_that_it_follows(
    tmp_path: Path, keys: tuple[SigningKey, ...]
) -> None:
    log = signed_log(1)
    first = log.rotate()
    log.call(3)
    log.checkpoint(*keys)
    assert found(judged(write(tmp_path / "together", [*log.lines, *first]))) == ["AEG013"]


def test_a_segment_without_a_tree_that_follows_another_is_covered(tmp_path: Path) -> None:
    log = signed_log(1)
    first = log.lines
    log.lines = []
    log.open_segment(tree="none")
    log.checkpoint()
    paths = write(tmp_path / "1.log", first), write(tmp_path / "2.log", log.lines)
    assert (found(judged(*paths)), judged(*paths).logs[0].uncovered[Level.A2]) == ([], 1)
    assert judged(paths[1]).level is Level.A0


def test_a_log_that_began_unsigned_is_covered_from_its_first_entry_on(tmp_path: Path) -> None:
    log = SignedBuilder()
    log.add("security_event", {"kind": "log_opened", "origin": ORIGIN, "version": "0.1.0"})
    log.call(1)
    log.security("key_epoch", epoch=0, origin=ORIGIN, **log.roots.members)
    log.call(2)
    log.checkpoint()
    report = judged(write(tmp_path / "audit.log", log.lines))
    assert (found(report), report.level, report.logs[0].uncovered[Level.A2]) == ([], Level.A2, 1)
    log.checkpoint(STOLEN, epoch_key(0))
    assert found(judged(write(tmp_path / "audit.log", log.lines), keys=())) == ["AEG013"]


@pytest.mark.parametrize(("start", "epoch"), [(0, 0), (0, 1), (1, 0)])
def test_a_log_that_began_unsigned_is_held_to_the_keys_that_it_declares(tmp_path: Path, start: int, epoch: int) -> None:
    for signer, codes in ((LOG_KEY, []), (STOLEN, ["AEG013"])):
        log = SignedBuilder()
        log.add("security_event", {"kind": "log_opened", "origin": ORIGIN, "version": "0.1.0"})
        parts = [log.rotate(), log.lines]
        log.security("key_epoch", epoch=epoch, origin=ORIGIN, **log.roots.members)
        log.checkpoint(signer, epoch_key(0))
        path = write(tmp_path / "audit.log", [line for part in parts[start:] for line in part])
        assert found(judged(path, keys=())) == codes


def test_entries_behind_a_gap_are_covered_by_their_own_checkpoints_alone(tmp_path: Path) -> None:
    parts = segments()
    report = judged(write(tmp_path / "1.log", parts[0]), write(tmp_path / "3.log", parts[2]), keys=(LOG,))
    assert found(report) == ["AEG201"]
    assert (report.level, report.logs[0].uncovered[Level.A1]) == (Level.A1, 2)


def test_entries_that_nobody_has_signed_are_found_behind_a_gap(tmp_path: Path) -> None:
    log = signed_log(1)
    first = log.rotate()
    log.call(2)
    log.rotate()
    log.checkpoint()
    log.call(3)
    paths = write(tmp_path / "1.log", first), write(tmp_path / "3.log", log.lines)
    assert found(judged(*paths, level=Level.A1)) == ["AEG208", "AEG201"]


def test_two_signed_logs_grow_each_its_own_tree(tmp_path: Path) -> None:
    first, second = signed_log(1), SignedBuilder(origin="other.example/aegis")
    second.open_log()
    for number in range(3):
        second.call(number)
        second.checkpoint()
    paths = write(tmp_path / "1.log", first.lines), write(tmp_path / "2.log", second.lines)
    for report in (judged(*paths), judged(*reversed(paths))):
        assert found(report) == []
        declared = [tuple(str(key) for key in (one.roots.log_key, one.roots.epoch_key)) for one in (first, second)]
        assert [one.declared for one in report.logs] == declared
    second.checkpoint(root=bytes(32))
    write(paths[1], second.lines)
    for report in (judged(*paths), judged(*reversed(paths))):
        assert found(report) == ["AEG011"]


def test_what_a_writer_leaves_behind_its_last_checkpoint_needs_no_other(tmp_path: Path) -> None:
    log = signed_log(1)
    first = log.rotate()
    log.security("segments_dropped", count=1)
    together = tmp_path / "together"
    assert found(judged(write(together, [*log.lines, *first]), level=Level.A1)) == []
    log.checkpoint()
    assert found(judged(write(together, [*log.lines, *first]), level=Level.A1)) == []
    log.call(2)
    assert found(judged(write(together, [*log.lines, *first]), level=Level.A1)) == ["AEG208"]


def test_a_segment_that_does_not_name_its_log_is_of_the_one_that_it_follows_in_any_order(tmp_path: Path) -> None:
    for origins in ((ORIGIN, None), (None, ORIGIN)):
        log, parts = signed_log(1), list[list[bytes]]()
        for origin in origins:
            log.lines = []
            log.open_segment(origin=origin)
            log.call(2)
            log.checkpoint()
            parts.append(log.lines)
        together = write(tmp_path / "together", [*parts[1], *parts[0]])
        report = judged(together, keys=(LOG,))
        assert (found(report), report.level, report.logs[0].uncovered[Level.A1]) == ([], Level.A1, 1)


def test_a_tree_goes_on_in_the_middle_of_entries_that_stand_in_two_files(tmp_path: Path) -> None:
    log = SignedBuilder()
    log.open_log()
    known: list[Known] = []
    for number in range(300):
        log.call(number)
        if number in {235, 250, 270}:
            known.append(Known(log.head, ORIGIN, "here", root=log.tree.root()))
    log.checkpoint(root=bytes(32))
    # So that the place where the first ends is among lines of the second that are taken together.
    paths = write(tmp_path / "1.log", log.lines[:501]), write(tmp_path / "2.log", log.lines[150:])
    report = verify(map(str, paths), knowledge=Knowledge(heads=tuple(known)))
    assert found(report) == ["AEG011"]


def test_a_verification_goes_on_with_the_tree_and_the_epochs_of_the_last_one(tmp_path: Path) -> None:
    log, path, state = signed_log(1, 1), tmp_path / "audit.log", tmp_path / "state"
    write(path, log.lines[:1])
    assert audit("verify", "--state", state, path).status == 0
    options = ("verify", "--format", "json", "--state", state, "--key", str(EPOCH), "--require", "a2", path)
    for step in range(5):
        write(path, log.lines)
        outcome = audit(*options)
        assert (outcome.status, outcome.json["assurance"]) == (0, "A2"), outcome.stdout
        assert outcome.json["logs"][0]["uncovered"] == 1
        if step == 2:
            log.hand_over()
        log.call(step)
        write(path, log.lines)
        assert audit(*options).status == 4
        log.checkpoint()
    log.lines[-1] = log.lines[-1].replace(b"desk.example", b"desk.exampel")
    log.checkpoint(log.log_key, epoch_key(0))
    write(path, log.lines)
    assert audit(*options).status == 1


def begun() -> SignedBuilder:
    """Return a signed log before its first checkpoint."""
    log = SignedBuilder()
    log.open_log()
    log.call(1)
    return log


def announced() -> SignedBuilder:
    """Return a signed log before a handover that it has announced."""
    log = signed_log(1)
    log.announce(1, epoch_key(1))
    return log


def cut() -> SignedBuilder:
    """Return the second segment of a signed log."""
    log = signed_log(1)
    log.rotate()
    log.checkpoint()
    return log


@pytest.mark.parametrize("make", [begun, announced, cut])
def test_what_follows_is_held_to_what_the_last_verification_knew_of_the_signing(
    tmp_path: Path, make: Callable[[], SignedBuilder]
) -> None:
    log, path = make(), tmp_path / "audit.log"
    options = ("verify", "--format", "json", "--state", tmp_path / "state", "--key", str(LOG), path)

    def codes(*more: bytes) -> list[str]:
        write(path, [*log.lines, *more])
        return [one["id"] for one in audit(*options).json["findings"] if one["verdict"] != "note"]

    assert codes() == []
    wrong = make()
    wrong.checkpoint(root=bytes(32))
    assert codes(wrong.lines[-1]) == ["AEG011"]
    wrong = make()
    wrong.announce(1, epoch_key(1, 7))
    assert codes(wrong.lines[-1]) == (["AEG013"] if make is announced else [])


# What is signed wrongly.


def text_of(log: SignedBuilder) -> str:
    """Return the note that would be right now."""
    spare = SignedBuilder()
    spare.tree, spare.epoch_keys = log.tree, log.epoch_keys
    return note_in(spare.checkpoint())


def mangled(change: Callable[[str], object]) -> Callable[[SignedBuilder], object]:
    return lambda log: log.note(change(text_of(log)))


def with_lines(count: int) -> Callable[[str], str]:
    return lambda note: note + note.splitlines(keepends=True)[-1] * count


def _with_loose_bits(note: str) -> str:
    """Return a note whose root is base64 of the same bytes in another form."""
    root = note.split("\n")[2]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    loose = root[:-2] + alphabet[alphabet.index(root[-2]) ^ 1] + "="
    assert base64.b64decode(loose) == base64.b64decode(root)
    return note.replace(root, loose)


def _with_another_signature(note: str, nth: int = 0) -> str:
    """Return a note with a changed bit in its first signature, or another one."""
    lines = note.split("\n")
    name, _, coded = lines[4 + nth].rpartition(" ")
    raw = bytearray(base64.b64decode(coded))
    raw[-1] ^= 1
    lines[4 + nth] = f"{name} {base64.b64encode(raw).decode('ascii')}"
    return "\n".join(lines)


WRONG: Final[dict[str, tuple[Callable[[SignedBuilder], object], str]]] = {
    "a root of other entries": (lambda log: log.checkpoint(root=bytes(32)), "AEG011"),
    "a size that is too small": (lambda log: log.checkpoint(size=2), "AEG011"),
    "a size that is too large": (lambda log: log.checkpoint(size=999), "AEG011"),
    "another origin": (lambda log: log.checkpoint(origin="other.example/aegis"), "AEG011"),
    "no note": (lambda log: log.add("checkpoint", {}), "AEG011"),
    "a note that is no text": (lambda log: log.note(["note"]), "AEG011"),
    "a note without signatures": (mangled(lambda note: note.partition("\n\n")[0] + "\n\n"), "AEG011"),
    "a look-alike dash": (mangled(lambda note: note.replace("\u2014", "-")), "AEG011"),
    "65 signature lines": (mangled(with_lines(63)), "AEG011"),
    "a carriage return": (mangled(lambda note: note.replace("\n", "\r\n")), "AEG011"),
    "an extra empty line": (mangled(lambda note: note + "\n"), "AEG011"),
    "a leading zero": (mangled(lambda note: note.replace("\n", "\n0", 1)), "AEG011"),
    "a plus sign": (mangled(lambda note: note.replace("\n", "\n+", 1)), "AEG011"),
    "base64 with other padding bits": (mangled(_with_loose_bits), "AEG011"),
    "a signature by another key of the log's name": (lambda log: log.checkpoint(STOLEN, epoch_key(1)), "AEG013"),
    "a signature by another key of the epoch's name": (
        lambda log: log.checkpoint(log.log_key, epoch_key(1, 7)),
        "AEG013",
    ),
    "no signature by the log": (lambda log: log.checkpoint(epoch_key(1)), "AEG013"),
    "no signature by the epoch": (lambda log: log.checkpoint(log.log_key), "AEG013"),
    "the key of a later epoch": (lambda log: log.checkpoint(log.log_key, epoch_key(2)), "AEG013"),
    "a signature over something else": (mangled(_with_another_signature), "AEG012"),
    "an epoch that is skipped": (lambda log: log.announce(3, epoch_key(3)), "AEG013"),
    "an epoch that comes again": (lambda log: log.announce(0, epoch_key(0)), "AEG013"),
    "another key for the epoch in office": (lambda log: log.announce(1, epoch_key(1, 7)), "AEG013"),
    "two keys for the next epoch": (
        lambda log: (log.announce(2, epoch_key(2)), log.announce(2, epoch_key(2, 7))),
        "AEG013",
    ),
    "a handover that only the new key signs": (
        lambda log: (log.announce(2, epoch_key(2)), log.checkpoint(log.log_key, epoch_key(2))),
        "AEG013",
    ),
    "an epoch without a key": (lambda log: log.security("key_epoch", epoch=2), "AEG013"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_signed_wrongly_is_tampering_whatever_counts(tmp_path: Path, name: str) -> None:
    act, code = WRONG[name]
    log = signed_log(1, 1)
    act(log)
    path = write(tmp_path / "audit.log", log.lines)
    for keys in ((), (LOG, EPOCH)):
        report = judged(path, keys=keys)
        assert (found(report), report.verdict.exit_code) == ([code], 1)


@pytest.mark.parametrize("nth", range(3))
def test_a_handover_has_to_be_signed_by_all_three_keys_however_much_comes_after(tmp_path: Path, nth: int) -> None:
    log, spare = signed_log(1), signed_log(1)
    spare.hand_over()
    log.announce(1, epoch_key(1))
    log.note(_with_another_signature(note_in(spare.lines[-1]), nth))
    log.epoch_keys.append(epoch_key(1))
    log.call(2)
    log.checkpoint()
    for keys in ((), (LOG, EPOCH)):
        assert found(judged(write(tmp_path / "audit.log", log.lines), keys=keys)) == ["AEG012"]


def test_the_key_of_an_epoch_counts_for_a_part_of_a_log_beside_the_key_of_the_log_and_where_it_has_signed(
    tmp_path: Path,
) -> None:
    log = signed_log(1, 1)
    log.rotate()
    log.checkpoint()
    path = write(tmp_path / "audit.log", log.lines)
    levels = {
        (LOG, epoch_key(1).verifier): Level.A2,
        (LOG, epoch_key(2).verifier): Level.A1,
        (epoch_key(1).verifier,): Level.A0,
    }
    for keys, level in levels.items():
        report = judged(path, keys=keys)
        assert (found(report), report.level) == ([], level)


@pytest.mark.parametrize("known", [0, 1])
def test_a_handover_may_be_the_first_checkpoint_of_a_part_of_a_log(tmp_path: Path, known: int) -> None:
    log = SignedBuilder()
    log.open_log()
    log.call(0)
    log.rotate()
    log.call(1)
    log.hand_over()
    log.call(2)
    log.checkpoint()
    report = judged(write(tmp_path / "audit.log", log.lines), keys=(LOG, epoch_key(known).verifier))
    assert (found(report), report.level) == ([], Level.A2)


@pytest.mark.parametrize("announced", [None, STOLEN, epoch_key(2)])
def test_in_a_part_of_a_log_too_nobody_hands_over_to_a_key_that_was_not_announced(
    tmp_path: Path, announced: SigningKey | None
) -> None:
    log = SignedBuilder()
    log.open_log()
    log.rotate()
    log.call(0)
    if announced:
        log.announce(1, SigningKey(epoch_key(1).name, announced.seed))
    log.checkpoint(LOG_KEY, epoch_key(0), epoch_key(1))
    assert found(judged(write(tmp_path / "audit.log", log.lines))) == ["AEG013"]


def test_a_checkpoint_in_another_name_is_none_of_a_log_that_has_named_itself(tmp_path: Path) -> None:
    log = SignedBuilder()
    log.open_log()
    log.rotate()
    log.checkpoint(origin="other.example/log")
    assert found(judged(write(tmp_path / "audit.log", log.lines), keys=())) == ["AEG011"]


def test_of_two_keys_of_one_log_the_one_that_has_signed_vouches_for_a_part_of_it(tmp_path: Path) -> None:
    log = signed_log(1)
    log.rotate()
    log.checkpoint(LOG_KEY)
    path = write(tmp_path / "audit.log", log.lines)
    report = judged(path, keys=(LOG, STOLEN.verifier))
    assert (found(report), report.level, report.logs[0].keys) == ([], Level.A1, ((str(LOG), "pinned"),))
    log.checkpoint(LOG_KEY, STOLEN)
    report = judged(write(path, log.lines), keys=(LOG, STOLEN.verifier))
    keys = tuple((str(key), "pinned") for key in (LOG, STOLEN.verifier))
    assert (found(report), report.level, report.logs[0].keys) == ([], Level.A1, keys)


def test_a_key_of_an_epoch_that_has_not_come_vouches_for_nothing(log: Path) -> None:
    report = judged(log, keys=(epoch_key(7).verifier,), level=Level.A1)
    assert (found(report), report.level) == (["AEG303"], Level.A0)


def test_an_opening_that_is_no_first_entry_does_not_stand_for_the_log(tmp_path: Path) -> None:
    false, log = LogBuilder(Head(99, "ab" * 32)), signed_log(1)
    false.open_log()
    log.checkpoint(STOLEN, epoch_key(0))
    path = write(tmp_path / "audit.log", [*false.lines, *log.lines])
    assert found(judged(path, keys=())) == ["AEG201", "AEG013"]


def test_of_more_checkpoints_than_wait_for_what_came_before_the_last_one_is_verified(tmp_path: Path) -> None:
    log = signed_log(1)
    log.rotate()
    for _ in range(MAX_DEFERRED):
        log.checkpoint(LOG_KEY)
    path = tmp_path / "audit.log"
    right = judged(write(path, log.lines), keys=(LOG,))
    assert (found(right), right.logs[0].uncovered[Level.A1]) == ([], 1)
    log.note(_with_another_signature(text_of(log)))
    assert found(judged(write(path, log.lines), keys=(LOG,))) == ["AEG012"]


def test_keys_of_another_name_are_no_keys_of_the_log_that_declares_them(tmp_path: Path) -> None:
    log = SignedBuilder()
    log.log_key = SigningKey("other.example/aegis", b"O" * 32)
    log.open_log()
    log.call(1)
    report = judged(write(tmp_path / "audit.log", log.lines))
    assert (found(report), report.verdict.exit_code) == (["AEG013"], 1)


def test_checkpoints_that_contradict_one_history_are_one_finding(tmp_path: Path) -> None:
    log = signed_log(1)
    for number in range(3):
        log.call(number)
        log.checkpoint(root=bytes(32))
    assert found(judged(write(tmp_path / "audit.log", log.lines))) == ["AEG011"]


def test_a_segment_that_does_not_name_its_log_is_held_to_its_checkpoints(tmp_path: Path) -> None:
    log = signed_log(1)
    log.lines = []
    log.open_segment(origin=None)
    log.checkpoint()
    assert found(judged(write(tmp_path / "audit.log", log.lines))) == []
    log.checkpoint(root=bytes(32))
    assert found(judged(write(tmp_path / "audit.log", log.lines))) == ["AEG011"]


def test_other_signers_beside_ours_are_left_alone(tmp_path: Path) -> None:
    log = signed_log(1)
    witness = SigningKey("witness.example/w1", b"W" * 32)
    log.checkpoint(log.log_key, epoch_key(0), *[witness] * 15)
    assert found(judged(write(tmp_path / "audit.log", log.lines))) == []


def test_a_log_that_declares_another_key_than_the_pinned_one_is_tampering(tmp_path: Path) -> None:
    path = write(tmp_path / "audit.log", signed_log(1).lines)
    other = SigningKey(ORIGIN, b"O" * 32).verifier
    assert found(judged(path, keys=(other,))) == ["AEG014"]
    assert found(judged(path, keys=(epoch_key(0, 7).verifier, LOG))) == ["AEG014"]
    unrelated = SigningKey("other.example/aegis", b"O" * 32).verifier
    report = judged(path, keys=(unrelated,))
    assert (found(report), report.level) == ([], Level.A0)


def test_one_edit_below_many_checkpoints_is_two_findings(tmp_path: Path) -> None:
    log = signed_log(3, 3)
    log.lines[1] = log.lines[1].replace(b"notes", b"votes")
    path = write(tmp_path / "audit.log", log.lines)
    assert found(judged(path)) == ["AEG001"]
