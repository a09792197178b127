"""`keygen`: the keys of a log, made once and kept apart from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_audit.epoch import Roots
from aegis_audit.key import KeyRing, find_roots, given_key
from aegis_audit.note import SigningKey, VerifierKey
from support.auditor import audit

ORIGIN = "ci.example/builds"


def test_the_public_halves_are_printed_and_the_private_ones_kept(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    made = audit("keygen", ORIGIN, env={"AEGIS_KEYS": str(keys)})
    roots = find_roots(ORIGIN, keys)
    assert roots
    assert (made.status, made.stdout) == (0, f"{roots.log_key}\n{roots.epoch_key}\n")
    assert made.stderr == f"The private keys are in {keys}.\n"
    assert Roots(*map(VerifierKey.parse, made.stdout.split())) == KeyRing.open(ORIGIN, keys).roots
    secrets = "".join(path.read_text(encoding="ascii") for path in keys.glob("*/*.key")).split()
    assert all(secret[-20:] not in made.stdout + made.stderr for secret in secrets)


def test_keys_are_not_made_a_second_time_and_can_be_shown_again(tmp_path: Path) -> None:
    made = audit("keygen", ORIGIN, "--keys", tmp_path)
    again = audit("keygen", ORIGIN, "--keys", tmp_path)
    assert (again.status, again.stdout) == (6, "")
    assert again.stderr.endswith("there are keys already\n")
    assert audit("keygen", ORIGIN, "--keys", tmp_path, "--public").stdout == made.stdout
    document = audit("keygen", ORIGIN, "--keys", tmp_path, "--public", "--format", "json").json
    log_key, epoch_key = made.stdout.split()
    assert document == {
        "origin": ORIGIN,
        "log_key": log_key,
        "epoch_key": epoch_key,
        "keys": str(tmp_path),
        "exit_code": 0,
    }


def test_keys_that_are_not_there_are_not_made_to_be_shown(tmp_path: Path) -> None:
    outcome = audit("keygen", ORIGIN, "--keys", tmp_path / "keys", "--public")
    assert (outcome.status, outcome.stdout) == (6, "")
    assert f"no keys of '{ORIGIN}' are kept here" in outcome.stderr
    assert not (tmp_path / "keys").exists()


def test_a_secret_for_the_environment_is_kept_nowhere_and_is_the_key_of_the_log(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    made = audit("keygen", ORIGIN, "--secret", "--keys", keys)
    key = given_key({"AEGIS_SIGNING_KEY": made.stdout.strip()})
    assert key
    assert (made.status, key.name, keys.exists()) == (0, ORIGIN, False)
    assert made.stderr == f"For $AEGIS_SIGNING_KEY. The public key: {key.verifier}\n"
    used = audit("keygen", ORIGIN, "--keys", keys, env={"AEGIS_SIGNING_KEY": key.encode()})
    assert used.stdout.split()[0] == str(key.verifier)
    assert sorted(path.name for path in keys.glob("*/*")) == ["epoch.key", "public"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (ORIGIN, "--public", "--secret"),
        ("a b", "--secret"),
        ("a b",),
        ("a b", "--public"),
        ("a+b",),
        ("x" * 300,),
        ("é",),
        ("é", "--secret"),
    ],
)
def test_what_cannot_be_a_log_gets_no_key_and_is_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    outcome = audit("keygen", "--keys", tmp_path, *arguments)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_a_false_key_in_the_environment_is_an_error_that_does_not_repeat_it(tmp_path: Path) -> None:
    secret = SigningKey.generate("other.example/log").encode()
    for given in (secret, secret[:-1], "keyring:nowhere"):
        outcome = audit("keygen", ORIGIN, "--keys", tmp_path, env={"AEGIS_SIGNING_KEY": given})
        assert (outcome.status, outcome.stdout) == (6, "")
        assert secret[-20:-2] not in outcome.stderr
    assert list(tmp_path.iterdir()) == []


# A keyring of one secret, as a desktop would have it.
BACKEND = """
from keyring.backend import KeyringBackend
class Backend(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return {secret!r} if (service, username) == ("aegis/ci", "log") else None
    def set_password(self, service, username, password): raise NotImplementedError
    def delete_password(self, service, username): raise NotImplementedError
"""


def test_the_log_key_may_be_in_the_keyring_of_the_desktop(tmp_path: Path) -> None:
    key = SigningKey.generate(ORIGIN)
    (tmp_path / "one_secret.py").write_text(BACKEND.format(secret=key.encode()), encoding="utf-8")
    desktop = {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "one_secret.Backend"}
    keys = tmp_path / "keys"
    made = audit("keygen", ORIGIN, "--keys", keys, env={**desktop, "AEGIS_SIGNING_KEY": "keyring:aegis/ci/log"})
    assert (made.status, made.stdout.split()[0]) == (0, str(key.verifier))
    absent = audit("keygen", ORIGIN, "--keys", keys, env={**desktop, "AEGIS_SIGNING_KEY": "keyring:aegis/ci/other"})
    assert absent.status == 6
    assert "the keyring has no 'other' of 'aegis/ci'" in absent.stderr
