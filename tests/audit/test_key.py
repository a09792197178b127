"""Private keys on disk: made once, kept private, handed over without a moment at which a crash loses the log."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.epoch import EpochChain, Roots
from aegis_audit.errors import AbsentKey, UnusableKey
from aegis_audit.key import KeyRing, default_directory, find_roots, given_key
from aegis_audit.note import Note, SigningKey, VerifierKey

ORIGIN: Final = "aegis.example/host/7f3a"


def at(size: int, origin: str = ORIGIN) -> Checkpoint:
    return Checkpoint(origin, size, bytes(32))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def announcement(ring: KeyRing, key: VerifierKey) -> dict[str, object]:
    return {"kind": "key_epoch", "epoch": ring.epoch + 1, "epoch_key": str(key)}


def _signed(ring: KeyRing, checkpoint: Checkpoint) -> Note:
    note = ring.sign(checkpoint)
    assert note, "a handover is under way"
    return note


def test_the_keys_of_a_log_are_made_in_private_and_open_again(keys: Path) -> None:
    made = KeyRing.create(ORIGIN, keys)
    opened = KeyRing.open(ORIGIN, keys)
    assert (opened.roots, opened.origin, opened.epoch) == (made.roots, ORIGIN, 0)
    assert find_roots(ORIGIN, keys) == made.roots
    folder = keys / "aegis.example%2Fhost%2F7f3a"
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in [keys, folder, *folder.iterdir()]}
    private = dict.fromkeys(("log.key", "epoch.key", "public"), 0o600)
    assert modes == {"keys": 0o700, folder.name: 0o700, **private}
    assert [path.name for path in keys.iterdir()] == [folder.name]


def test_what_a_ring_signs_the_epochs_accept(keys: Path) -> None:
    ring = KeyRing.create(ORIGIN, keys)
    chain = EpochChain.begin(ORIGIN, ring.roots)
    assert chain.admit(_signed(ring, at(5)), at(5)) == chain
    for epoch in range(3):
        chain = chain.announce(10 * epoch + 10, announcement(ring, ring.prepare()))
        chain = chain.admit(ring.hand_over(at(10 * epoch + 11)), at(10 * epoch + 11))
        ring.commit()
        assert chain.judge(_signed(ring, at(10 * epoch + 12)), at(10 * epoch + 12))
        assert (ring.epoch, chain.office.epoch) == (epoch + 1, epoch + 1)


def test_a_key_that_was_handed_over_is_nowhere_any_more(keys: Path) -> None:
    ring = KeyRing.create(ORIGIN, keys)
    (file,) = keys.glob("*/epoch.key")
    old = file.read_text(encoding="ascii")
    with file.open(encoding="ascii") as held:  # the old file itself, whatever name it has by now
        ring.prepare()
        ring.commit()
        assert held.read() == "\0" * len(old)
    assert [
        path for path in keys.rglob("*") if path.is_file() and old.strip() in path.read_text(encoding="ascii")
    ] == []


def test_another_process_that_handed_over_is_noticed_at_the_next_signature(keys: Path) -> None:
    ours = KeyRing.create(ORIGIN, keys)
    theirs = KeyRing.open(ORIGIN, keys)
    theirs.prepare()
    theirs.commit()
    assert [made.name for made in _signed(ours, at(5)).signatures] == [ORIGIN, f"{ORIGIN}/e/1"]


def test_a_handover_that_was_interrupted_is_done_again_with_the_same_key(keys: Path) -> None:
    key = KeyRing.create(ORIGIN, keys).prepare()
    ring = KeyRing.open(ORIGIN, keys)
    assert (ring.epoch, ring.sign(at(5)), ring.prepare()) == (0, None, key)
    chain = EpochChain.begin(ORIGIN, ring.roots).announce(10, announcement(ring, key))
    assert chain.admit(ring.hand_over(at(11)), at(11)).office.key == key
    ring.commit()
    assert ring.epoch == 1
    assert _signed(ring, at(12)).signatures[1].name == f"{ORIGIN}/e/1"
    ring.commit()  # once more changes nothing
    assert ring.epoch == 1


def test_no_handover_is_signed_that_was_not_prepared(keys: Path) -> None:
    with pytest.raises(UnusableKey, match="no handover is under way"):
        KeyRing.create(ORIGIN, keys).hand_over(at(5))


def test_keys_are_never_made_a_second_time(keys: Path) -> None:
    ring = KeyRing.create(ORIGIN, keys)
    with pytest.raises(UnusableKey, match="there are keys already"):
        KeyRing.create(ORIGIN, keys)
    assert KeyRing.open(ORIGIN, keys).roots == ring.roots
    assert len(list(keys.iterdir())) == 1


@pytest.mark.parametrize("name", ["log.key", "epoch.key"])
def test_a_private_key_that_is_gone_is_an_error_with_the_remedy(keys: Path, name: str) -> None:
    roots = KeyRing.create(ORIGIN, keys).roots
    next(keys.glob(f"*/{name}")).unlink()
    with pytest.raises(AbsentKey, match=r"the private key is gone\. Aegis makes no second key for a log"):
        KeyRing.open(ORIGIN, keys)
    assert find_roots(ORIGIN, keys) == roots


def test_keys_that_were_never_made_are_absent(keys: Path) -> None:
    with pytest.raises(AbsentKey, match=r"no keys of 'aegis\.example/host/7f3a' are kept here"):
        KeyRing.open(ORIGIN, keys)
    assert find_roots(ORIGIN, keys) is None


def widen(path: Path) -> None:
    path.chmod(0o640)


def widen_folder(path: Path) -> None:
    path.parent.chmod(0o750)


def widen_keys(path: Path) -> None:
    path.parent.parent.chmod(0o705)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def link_folder(path: Path) -> None:
    aside = path.parent.with_name("aside")
    path.parent.rename(aside)
    path.parent.symlink_to("aside")


def to_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def to_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(0o600)


def lengthen(path: Path) -> None:
    path.write_text("x" * 100_000, encoding="ascii")


def spoil(path: Path) -> None:
    path.write_bytes(b"\xff\n")


def empty(path: Path) -> None:
    path.write_text("", encoding="ascii")


def cut(path: Path) -> None:
    path.write_text(path.read_text(encoding="ascii")[:-9], encoding="ascii")


@pytest.mark.parametrize("name", ["log.key", "epoch.key", "public"])
@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (widen, r"open to others \(mode 640\): chmod 600 it"),
        (widen_folder, r"open to others \(mode 750\): chmod 700 it"),
        (widen_keys, r"open to others \(mode 705\): chmod 700 it"),
        (link, "a symlink"),
        (link_folder, "a symlink: name the directory itself"),
        (to_fifo, "not a regular file"),
        (to_directory, "directory"),
        (lengthen, "longer than the 4096 bytes that keys have"),
        (spoil, "not a key: it holds bytes beyond ASCII"),
        (empty, "empty|not the two public keys"),
        (cut, "base64|has 2[0-9] bytes"),
    ],
)
def test_keys_that_are_not_private_or_not_whole_are_refused(
    keys: Path, name: str, harm: Callable[[Path], None], why: str
) -> None:
    KeyRing.create(ORIGIN, keys)
    path = next(keys.glob(f"*/{name}"))
    secret = path.read_text(encoding="ascii").strip()
    harm(path)
    with pytest.raises(UnusableKey, match=why) as caught:
        KeyRing.open(ORIGIN, keys)
    assert not isinstance(caught.value, AbsentKey)
    assert secret[-20:] not in str(caught.value)


def test_keys_of_another_owner_are_refused(tmp_path: Path) -> None:
    """Root gives the keys away; anybody else looks for keys where the system's owner has something."""
    if os.geteuid() == 0:
        KeyRing.create(ORIGIN, tmp_path)
        os.chown(next(tmp_path.glob("*/epoch.key")), 1, -1)
    directory = tmp_path if os.geteuid() == 0 else Path("/")
    with pytest.raises(UnusableKey, match=rf"belongs to user \d+, not to user {os.geteuid()} who runs this"):
        KeyRing.open(ORIGIN, directory)


def test_the_key_of_another_log_or_epoch_is_refused(keys: Path, tmp_path: Path) -> None:
    KeyRing.create(ORIGIN, keys)
    KeyRing.create(ORIGIN, tmp_path / "others")
    KeyRing.create("other.example/log", tmp_path / "others")
    (same, other) = sorted((tmp_path / "others").iterdir())
    (folder,) = keys.iterdir()
    for name, source in (("log.key", same), ("log.key", other), ("epoch.key", same), ("epoch.key", other)):
        kept = (folder / name).read_text(encoding="ascii")
        (folder / name).write_text((source / name).read_text(encoding="ascii"), encoding="ascii")
        with pytest.raises(UnusableKey, match=r"the private key is not that of|not the keys of an epoch of"):
            KeyRing.open(ORIGIN, keys)
        (folder / name).write_text(kept, encoding="ascii")
    KeyRing.open(ORIGIN, keys)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "..", ".hidden", "x" * 201, "/" * 70, "a\nb"])
def test_an_origin_that_is_no_file_name_has_no_keys(keys: Path, origin: str) -> None:
    for act in (KeyRing.create, KeyRing.open, find_roots):
        with pytest.raises(UnusableKey, match="no origin that keys can be kept for"):
            act(origin, keys)


def test_an_origin_stays_inside_the_directory(keys: Path) -> None:
    KeyRing.create("x/../../../escaped", keys)
    assert [path.name for path in keys.iterdir()] == ["x%2F..%2F..%2F..%2Fescaped"]


def test_the_log_key_may_come_from_the_environment(keys: Path) -> None:
    key = SigningKey.generate(ORIGIN)
    given = given_key({"AEGIS_SIGNING_KEY": key.encode()})
    assert given == key
    ring = KeyRing.create(ORIGIN, keys, given)
    assert ring.roots.log_key == key.verifier
    assert sorted(path.name for path in ring.folder.iterdir()) == ["epoch.key", "public"]
    assert _signed(KeyRing.open(ORIGIN, keys, given), at(5)).signed_by([key.verifier])
    with pytest.raises(AbsentKey, match="the private key is gone"):
        KeyRing.open(ORIGIN, keys)
    with pytest.raises(UnusableKey, match="the private key is not that of"):
        KeyRing.open(ORIGIN, keys, SigningKey.generate(ORIGIN))
    with pytest.raises(UnusableKey, match=r"a key of 'aegis\.example/host/7f3a', and the log is 'other'"):
        KeyRing.create("other", keys, given)


def test_no_variable_is_no_key_and_a_false_one_is_not_repeated() -> None:
    assert given_key({}) is None
    assert given_key({"AEGIS_SIGNING_KEY": ""}) is None
    secret = SigningKey.generate(ORIGIN).encode()
    for text in (secret[:-1], secret[1:], f" {secret}", f"{secret}\n", "keyring:", "keyring:service", "keyring:/name"):
        with pytest.raises(UnusableKey, match=r"key '\$AEGIS_SIGNING_KEY'") as caught:
            given_key({"AEGIS_SIGNING_KEY": text})
        assert secret[-20:-2] not in str(caught.value)


def test_keys_are_where_the_environment_says_or_in_the_data_directory() -> None:
    assert default_directory({"AEGIS_KEYS": "/somewhere/keys"}) == Path("/somewhere/keys")
    assert default_directory({}).parts[-2:] == ("aegis-mcp", "keys")
    assert default_directory({"AEGIS_KEYS": ""}) == default_directory({})


def test_a_ring_does_not_show_its_keys(keys: Path) -> None:
    ring = KeyRing.create(ORIGIN, keys)
    secrets = [line for path in keys.glob("*/*.key") for line in path.read_text(encoding="ascii").splitlines()]
    assert len(secrets) == 2
    assert all(secret[-20:] not in repr(ring) for secret in secrets)
    assert isinstance(ring.roots, Roots)
