"""A log that signs itself: every checkpoint fits its entries and its keys, whoever wrote them and whatever happened."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aegis_audit.verify import verify
from aegis_mcp.audit.journal import Journal
from aegis_mcp.errors import AuditUnavailable
from aegis_mcp.settings import Rotation, Signatures
from support.journals import append, entries, is_strict_chain, journal, kinds, log_of, numbers
from support.signatures import judge, keys_of, published, signed_journal


def _secrets(directory: Path) -> list[bytes]:
    """Return every private key that is kept."""
    return [line for path in (directory / "keys").rglob("*.key") for line in path.read_bytes().split() if line]


def test_the_first_entry_declares_the_keys_of_the_log(tmp_path: Path) -> None:
    append(signed_journal(tmp_path), 1)
    opened = entries(log_of(tmp_path))[0].event
    origin = opened["origin"]
    assert opened["log_key"].startswith(f"{origin}+")
    assert opened["epoch_key"].startswith(f"{origin}/e/0+")


def test_a_checkpoint_is_due_after_so_many_entries(tmp_path: Path) -> None:
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    for number in range(1000):
        append(writer, number)
    checkpoints = [entry.seq for entry in entries(log) if entry.event_type == "checkpoint"]
    assert checkpoints == [256, 513, 770]
    assert judge(log) == (770, 0)
    assert numbers(log) == list(range(1000))


def test_a_checkpoint_on_demand_covers_everything_and_is_not_repeated(tmp_path: Path) -> None:
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2)
    for _ in range(3):
        writer.checkpoint(patience=1)
    assert [entry.event_type for entry in entries(log)][-1] == "checkpoint"
    assert judge(log) == (3, 0)
    assert published(tmp_path).size == 3
    append(writer, 3)
    writer.checkpoint(patience=1)
    assert judge(log) == (5, 0)


def test_writers_that_take_turns_share_keys_tree_and_epochs(tmp_path: Path) -> None:
    writers, log = [signed_journal(tmp_path) for _ in range(3)], log_of(tmp_path)
    segments: list[Path] = []
    for number in range(60):
        writer = writers[number % 3]
        append(writer, number)
        if number % 7 == 0:
            writer.checkpoint(patience=1)
        if number % 13 == 0 and (segment := writer.rotate("demand", patience=1)):
            segments.append(segment)
    assert is_strict_chain(*segments, log)
    covered, epoch = judge(*segments, log)
    assert covered > 50
    assert epoch == len(segments) == 5
    assert verify([str(log.parent)]).verdict.exit_code == 0


def test_each_rotation_ends_an_epoch_and_destroys_its_key(tmp_path: Path) -> None:
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    before = _secrets(tmp_path)
    old = writer.rotate("demand", patience=1)
    assert old
    assert entries(old)[-1].event_type == "checkpoint"
    after = _secrets(tmp_path)
    assert len(before) == len(after) == 2
    assert len({*before, *after}) == 3
    append(writer, 2)
    writer.checkpoint(patience=1)
    assert judge(old, log) == (6, 1)


def test_no_private_key_is_in_the_log_or_beside_it(tmp_path: Path) -> None:
    writer = signed_journal(tmp_path)
    secrets: set[bytes] = set()
    for number in range(3):
        append(writer, number)
        writer.rotate("demand", patience=1)
        secrets |= {*_secrets(tmp_path)}
    written = b"".join(path.read_bytes() for path in log_of(tmp_path).parent.rglob("*") if path.is_file())
    assert len(secrets) == 5 - 1
    assert [secret for secret in secrets if secret[-40:] in written] == []


def test_a_log_that_was_not_signed_gets_its_keys_and_is_covered_from_its_start(tmp_path: Path) -> None:
    append(journal(tmp_path), 1, 2)
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    append(writer, 3)
    writer.checkpoint(patience=1)
    declared = next(entry for entry in entries(log) if entry.kind == "key_epoch")
    assert (declared.seq, declared.event["epoch"]) == (3, 0)
    assert judge(log) == (5, 0)


@pytest.mark.parametrize("segments", [1, 2])
def test_a_lost_sidecar_loses_neither_tree_nor_keys(tmp_path: Path, segments: int) -> None:
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    append(writer, *range(20))
    old = [writer.rotate("demand", patience=1) for _ in range(segments - 1)]
    append(writer, 20, 21)
    writer.checkpoint(patience=1)
    shutil.rmtree(log.parent / "audit.tlog")
    append(signed_journal(tmp_path), 22)
    signed_journal(tmp_path).checkpoint(patience=1)
    files = [*filter(None, old), log]
    assert judge(*files)[0] == entries(log)[-1].seq
    assert is_strict_chain(*files)
    assert [kind for kind in kinds(*files) if kind == "key_epoch"] == ["key_epoch"] * (segments - 1)


@pytest.mark.parametrize("open_journal", [journal, signed_journal])
def test_a_sidecar_that_is_lost_behind_lines_that_were_written_again_gives_no_number_twice(
    tmp_path: Path, open_journal: Callable[[Path], Journal]
) -> None:
    writer, log = open_journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    shutil.copy(log, log.with_name("audit.log.1"))
    os.truncate(log, 0)
    assert writer.head(patience=1).seq == 2
    assert [entry.seq for entry in entries(log)] == [2, 0, 1]
    shutil.rmtree(log.parent / "audit.tlog")
    append(open_journal(tmp_path), 2)
    open_journal(tmp_path).checkpoint(patience=1)
    assert is_strict_chain(log)
    assert numbers(log) == [1, 2]
    assert verify([str(log.parent)]).verdict.exit_code == 0


def test_a_log_that_was_cut_in_the_middle_is_not_signed_as_if_it_were_whole(tmp_path: Path) -> None:
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    append(writer, *range(10))
    whole = log.read_bytes().splitlines(keepends=True)
    shutil.rmtree(log.parent / "audit.tlog")
    log.write_bytes(b"".join(whole[:4] + whole[5:]))
    with pytest.raises(AuditUnavailable, match="cannot be signed"):
        append(signed_journal(tmp_path), 11)


@pytest.mark.parametrize("damage", ["absent", "readable", "torn", "swapped", "linked"])
def test_a_key_that_is_missing_or_refused_stops_the_log_until_it_is_back(tmp_path: Path, damage: str) -> None:
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    (folder,) = (tmp_path / "keys").iterdir()
    key, safe = folder / "epoch.key", tmp_path / "safe"
    key.rename(safe)
    match damage:
        case "absent":
            pass
        case "readable":
            key.write_bytes(safe.read_bytes())
            key.chmod(0o644)
        case "torn":
            key.touch(mode=0o600)
            key.write_bytes(safe.read_bytes()[:40])
        case "swapped":
            shutil.copy(folder / "log.key", key)
        case _:
            key.symlink_to(safe)
    with pytest.raises(AuditUnavailable, match="cannot be signed") as caught:
        writer.checkpoint(patience=1)
    assert "PRIVATE" not in str(caught.value)
    before = log.read_bytes()
    with pytest.raises(AuditUnavailable, match="cannot be signed"):
        append(writer, 2)
    assert log.read_bytes() == before
    key.unlink(missing_ok=True)
    safe.rename(key)
    append(writer, 3)
    writer.checkpoint(patience=1)
    assert numbers(log) == [1, 3]
    assert judge(log)[1] == 0


def test_a_log_goes_on_unsigned_only_where_the_policy_says_so_and_loudly(tmp_path: Path) -> None:
    said: list[str] = []
    keys = keys_of(tmp_path, Signatures.OPTIONAL, said)
    writer, log = signed_journal(tmp_path, keys=keys), log_of(tmp_path)
    append(writer, 1)
    shutil.rmtree(tmp_path / "keys")
    writer.checkpoint(patience=1)
    append(writer, *range(2, 300))
    append(writer, 300)
    assert numbers(log) == list(range(1, 301))
    assert len(said) == 1
    assert said[0].startswith("the log goes on unsigned: ")
    assert not (tmp_path / "keys").exists()
    assert "checkpoint" not in {entry.event_type for entry in entries(log)}
    assert [entry.kind for entry in entries(log) if entry.kind] == ["log_opened", "signing_suspended"]


def test_a_handover_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    append(writer, 1)
    (folder,) = (tmp_path / "keys").iterdir()
    from aegis_audit.key import KeyRing  # noqa: PLC0415

    origin = entries(log)[0].event["origin"]
    KeyRing.open(origin, tmp_path / "keys").prepare()
    assert len((folder / "epoch.key").read_text(encoding="ascii").split()) == 2
    append(writer, 2)
    writer.checkpoint(patience=1)
    assert len((folder / "epoch.key").read_text(encoding="ascii").split()) == 1
    assert judge(log)[1] == 1


def test_a_full_segment_ends_with_its_signature(tmp_path: Path) -> None:
    writer, log = signed_journal(tmp_path, Rotation(max_bytes=4000)), log_of(tmp_path)
    for number in range(60):
        append(writer, number)
    segments = sorted((path for path in log.parent.iterdir() if path.is_file()), key=lambda path: entries(path)[0].seq)
    assert len(segments) > 3
    assert {entries(path)[-1].event_type for path in segments[:-1]} == {"checkpoint"}
    assert judge(*segments)[1] == len(segments) - 1
    assert verify([str(log.parent)]).verdict.exit_code == 0


def test_replay_after_a_truncation_keeps_the_tree(tmp_path: Path) -> None:
    writer, log = signed_journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2)
    writer.checkpoint(patience=1)
    copy = Path(shutil.copy(log, log.with_suffix(".log.1")))
    append(writer, 3)
    os.truncate(log, 0)
    append(writer, 4)
    writer.checkpoint(patience=1)
    assert judge(copy, log)[0] == entries(log)[-1].seq
    assert is_strict_chain(copy, log)
