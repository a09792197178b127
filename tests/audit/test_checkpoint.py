"""Checkpoints: a published one of a running log, and that nothing but the exact form is one."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Final

import pytest

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.errors import ForgedSignature, MalformedNote
from aegis_audit.note import Note, SigningKey, VerifierKey, sign

# A checkpoint of a public log of certificates (staging), signed by the log twice and by four witnesses.
PUBLISHED: Final = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""  # noqa: E501 - as it was published
LOG_KEY: Final = VerifierKey.parse(
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)
WITNESS_KEYS: Final = tuple(
    map(
        VerifierKey.parse,
        (
            "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
            "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
            "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
            "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
        ),
    )
)
ROOT: Final = base64.b64encode(bytes(range(32))).decode()


def test_a_checkpoint_of_a_public_log_verifies_by_its_key_and_its_witnesses() -> None:
    note = Note.parse(PUBLISHED.encode())
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size, checkpoint.extensions) == (LOG_KEY.name, 1432088532, ())
    assert checkpoint.text == note.text
    assert list(note.signed_by([LOG_KEY, *WITNESS_KEYS])) == [LOG_KEY, *WITNESS_KEYS]
    # All four saw it in the same second.
    assert {made.timestamp for made in note.signed_by(WITNESS_KEYS).values()} == {0x6A122120}


def test_a_public_checkpoint_of_another_size_is_a_forgery() -> None:
    note = Note.parse(PUBLISHED.replace("1432088532", "1432088533").encode())
    for key in (LOG_KEY, *WITNESS_KEYS):
        with pytest.raises(ForgedSignature):
            note.signed_by([key])


@pytest.mark.openssl
def test_openssl_verifies_what_a_log_signs(tmp_path: Path) -> None:
    key = SigningKey.generate("aegis.example/host/7f3a")
    note = sign(Checkpoint(key.name, 5, bytes(range(32))).text, [key])
    # The SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 §4) is these twelve bytes and the key.
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + key.verifier.public)
    (tmp_path / "text").write_text(note.text, encoding="utf-8")
    (tmp_path / "signature").write_bytes(note.signatures[0].blob)
    key_file = ["-pubin", "-keyform", "DER", "-inkey", "key.der"]
    command = ["openssl", "pkeyutl", "-verify", "-rawin", *key_file, "-in", "text", "-sigfile", "signature"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (0, "Signature Verified Successfully\n")
    (tmp_path / "text").write_text(note.text.replace("\n5\n", "\n6\n"), encoding="utf-8")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=30).returncode == 1


def test_lines_of_other_programs_are_kept() -> None:
    text = f"example.com/log\n0\n{ROOT}\none line\n—\n"
    checkpoint = Checkpoint.parse(text)
    assert checkpoint == Checkpoint("example.com/log", 0, bytes(range(32)), ("one line", "—"))
    assert checkpoint.text == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n", "log\n", "log\n5\n", f"log\n5\n{ROOT}", f"log\n5\n{ROOT}\n\n", f"\nlog\n5\n{ROOT}\n"),
        f"log\n5\n\n{ROOT}\n",
        f"log\n5\n{ROOT}\n\nextension\n",
        *(
            f"log\n{size}\n{ROOT}\n"
            for size in (
                *("05", "00", "+5", "-5", "-0", " 5", "5 ", "5_0", "0x5", "5.0", "1e3", "٥", "５", "²"),
                *("", "9" * 20, "9" * 5000),
            )
        ),
        *(f"{origin}\n5\n{ROOT}\n" for origin in ("", "a b", "a+b", "a\u00a0b", "x" * 256)),
        f"log\n5\n{base64.b64encode(bytes(31)).decode()}\n",
        f"log\n5\n{base64.b64encode(bytes(33)).decode()}\n",
        f"log\n5\n{ROOT[:-1]}\n",
        f"log\n5\n{ROOT[:-2]}9=\n",  # a bit that a lenient decoder does not look at
        f"log\n5\n{ROOT}=\n",
        f"log\n5\n {ROOT}\n",
        f"log\n5\n{bytes(range(32)).hex()}\n",
    ],
)
def test_what_is_not_exactly_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedNote):
        Checkpoint.parse(text)
