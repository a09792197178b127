"""Time stamps of checkpoints, judged beside OpenSSL: what it accepts is accepted, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_audit.errors import ForgedStamp, UnprovenStamp
from aegis_audit.timestamp import Authorities, load_certificates
from support.auditor import Outcome, audit
from support.authority import Authority
from support.logs import write
from support.processes import wait_until
from support.signed import note_in, signed_log

pytestmark = pytest.mark.openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority for all tests here."""
    return _founded(tmp_path_factory.mktemp("authority") / "tsa")


def _founded(directory: Path) -> Authority:
    made = Authority(directory, digests="sha256, sha512")
    made.found()
    return made


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Write a log of seven entries, and return the checkpoint over three of them in its sidecar."""
    lines = signed_log(2).lines
    write(tmp_path / "audit.log", lines)
    sidecar = tmp_path / "audit.tlog"
    sidecar.mkdir()
    path = sidecar / "stamped-3"
    path.write_text(note_in(lines[3]), encoding="utf-8")
    return path


def judged(note: Path, *authorities: Authority, options: tuple[str | Path, ...] = ()) -> tuple[Outcome, dict[str, Any]]:
    """Verify the log; return the outcome, and what is said of the stamp of its checkpoint."""
    given = [text for one in authorities for text in ("--tsa-certificate", one.root)]
    outcome = audit("verify", "--format", "json", *given, *options, note.parent.parent / "audit.log")
    (anchor,) = outcome.json["anchors"]
    return outcome, {name: value for name, value in anchor.items() if name.startswith("stamp")}


def found(outcome: Outcome) -> tuple[int, list[str]]:
    return outcome.status, [one["id"] for one in outcome.json["findings"] if one["verdict"] != "note"]


def test_a_token_says_when_the_entries_were_there_and_gives_no_level(note: Path, authority: Authority) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    token = authority.stamp_file(note)
    assert authority.accepts(note, token)
    outcome, stamp = judged(note, authority)
    when = datetime.fromisoformat(stamp["stamped_at"])
    assert before <= when <= datetime.now(UTC)
    assert stamp == {"stamped_at": f"{when:%Y-%m-%dT%H:%M:%SZ}", "stamped_by": "CN=stamp", "stamp_problem": ""}
    assert (found(outcome), outcome.json["assurance"]) == ((0, []), "A0")
    shown = audit("verify", "--tsa-certificate", authority.root, note.parent.parent).stdout
    assert f"of 3 entries: held\n  entries up to 2 were there at {stamp['stamped_at']}, by CN=stamp\n" in shown


def test_without_a_certificate_it_proves_nothing_which_is_said(note: Path, authority: Authority) -> None:
    authority.stamp_file(note)
    outcome, stamp = judged(note)
    assert found(outcome) == (0, [])
    why = "no certificate of an authority was given"
    assert stamp == {"stamped_at": None, "stamped_by": None, "stamp_problem": why}
    shown = audit("verify", note.parent.parent).stdout
    assert f"  its time stamp proves nothing here: {why}; see --tsa-certificate\n" in shown


def test_a_token_of_another_checkpoint_is_tampering(note: Path, authority: Authority) -> None:
    other = note.with_name("other")
    other.write_text(note_in(signed_log(2).lines[-1]), encoding="utf-8")
    token = authority.stamp_file(other).rename(note.with_name(f"{note.name}.tsr"))
    assert not authority.accepts(note, token)
    outcome, stamp = judged(note, authority)
    assert found(outcome) == (1, ["AEG015"])
    assert outcome.json["findings"][0]["path"] == str(token)
    assert stamp["stamped_at"] is None
    assert found(judged(note)[0]) == (0, [])


def test_a_token_takes_nothing_from_a_checkpoint_that_is_forged(note: Path, authority: Authority) -> None:
    text, other = note.read_text(encoding="utf-8"), note.with_name("other")
    note.write_text(text.replace("\n\n", "\nanother line\n\n"), encoding="utf-8")
    authority.stamp_file(note)
    outcome, stamp = judged(note, authority)
    nothing = {"stamped_at": None, "stamped_by": None, "stamp_problem": ""}
    assert (found(outcome), stamp) == ((1, ["AEG012"]), nothing)
    other.write_text(text, encoding="utf-8")
    authority.stamp_file(other).rename(note.with_name(f"{note.name}.tsr"))
    other.unlink()
    outcome, stamp = judged(note, authority)
    assert (found(outcome), stamp) == ((1, ["AEG012"]), nothing)


def test_a_token_of_another_authority_proves_nothing_until_its_certificate_is_given(
    tmp_path: Path, note: Path, authority: Authority
) -> None:
    # An operator who goes to another authority, or whose authority has a new key, has done nothing to the log.
    other = _founded(tmp_path / "other")
    token = other.stamp_file(note)
    assert not authority.accepts(note, token)
    outcome, stamp = judged(note, authority)
    assert found(outcome) == (0, [])
    why = "unable to get local issuer certificate"
    assert stamp == {"stamped_at": None, "stamped_by": None, "stamp_problem": why}
    assert judged(note, authority, other)[1]["stamped_by"] == "CN=stamp"


def test_a_token_of_a_certificate_that_had_expired_proves_nothing(tmp_path: Path, note: Path) -> None:
    late = _founded(tmp_path / "late")
    late.certify(datetime.now(UTC) - timedelta(hours=1))
    assert not late.accepts(note, late.stamp_file(note))
    outcome, stamp = judged(note, late)
    assert (found(outcome), stamp["stamped_at"]) == ((0, []), None)
    assert stamp["stamp_problem"] == "certificate has expired"


def test_a_token_holds_after_its_certificate_has_expired(tmp_path: Path, note: Path) -> None:
    brief = _founded(tmp_path / "brief")
    brief.certify(datetime.now(UTC) + timedelta(seconds=2))
    token = brief.stamp_file(note)
    wait_until(lambda: not brief.accepts(note, token))
    when = datetime.fromisoformat(judged(note, brief)[1]["stamped_at"])
    assert brief.accepts(note, token, "-attime", f"{when.timestamp():.0f}")


def test_each_changed_byte_is_accepted_or_not_as_openssl_does(tmp_path: Path, note: Path, authority: Authority) -> None:
    data, token = note.read_bytes(), authority.stamp_file(note).read_bytes()
    ours = Authorities(load_certificates(authority.root.read_bytes()))
    changed = tmp_path / "changed.tsr"
    forged = accepted = 0
    for at in range(0, len(token), 13):
        bad = bytearray(token)
        bad[at] ^= 1
        changed.write_bytes(bad)
        try:
            ours.judge(bytes(bad), data)
            accepted += 1
            assert authority.accepts(note, changed), at
        except (ForgedStamp, UnprovenStamp) as exc:
            forged += isinstance(exc, ForgedStamp)
            assert not authority.accepts(note, changed), at
    assert forged > accepted


def test_a_changed_signature_is_tampering(note: Path, authority: Authority) -> None:
    token = authority.stamp_file(note)
    data = bytearray(token.read_bytes())
    data[-1] ^= 1
    token.write_bytes(data)
    outcome, _ = judged(note, authority)
    assert found(outcome) == (1, ["AEG015"])
    assert outcome.json["findings"][0]["found"] == "one that does not verify"


@pytest.mark.parametrize("kept", [0, 3, 400])
def test_a_torn_token_proves_nothing(note: Path, authority: Authority, kept: int) -> None:
    token = authority.stamp_file(note)
    token.write_bytes(token.read_bytes()[:kept])
    outcome, stamp = judged(note, authority)
    assert (found(outcome), stamp["stamp_problem"]) == ((0, []), "it is no whole token")


def test_a_checkpoint_from_elsewhere_may_be_named_by_its_token(
    tmp_path: Path, note: Path, authority: Authority
) -> None:
    kept = note.rename(tmp_path / "kept.checkpoint")
    token = authority.stamp_file(kept, "sha512")
    for path in (kept, token):
        outcome, stamp = judged(note, authority, options=("--anchor", path))
        assert (found(outcome), outcome.json["assurance"], stamp["stamped_by"]) == ((0, []), "A3", "CN=stamp")
    kept.unlink()
    outcome = audit("verify", "--anchor", token, note.parent.parent)
    assert (outcome.status, outcome.stderr) == (6, f"aegis-audit: checkpoint {str(kept)!r}: there is no such file\n")


def test_a_token_of_a_checkpoint_that_the_log_does_not_hold_gives_no_time(note: Path, authority: Authority) -> None:
    authority.stamp_file(note)
    log = note.parent.parent / "audit.log"
    other = signed_log(0)
    other.call(7)
    for _ in range(4):
        other.checkpoint()
    write(log, other.lines)
    outcome, stamp = judged(note, authority)
    assert (found(outcome), stamp["stamped_at"]) == ((1, ["AEG011"]), None)


def test_what_is_no_certificate_is_wrong_usage(tmp_path: Path, note: Path) -> None:
    path = tmp_path / "certificate"
    outcome = audit("verify", "--tsa-certificate", path, note.parent.parent)
    assert (outcome.status, outcome.stdout) == (2, "")
    for content in (b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n"):
        path.write_bytes(content)
        outcome = audit("verify", "--tsa-certificate", path, note.parent.parent)
        assert (outcome.status, outcome.stdout) == (2, "")
        assert "it holds no certificate" in outcome.stderr


def test_a_certificate_may_be_in_der(tmp_path: Path, note: Path, authority: Authority) -> None:
    authority.stamp_file(note)
    path = tmp_path / "root.crt"
    authority.run("x509", "-in", "root.pem", "-outform", "DER", "-out", str(path))
    assert judged(note, options=("--tsa-certificate", path))[1]["stamped_by"] == "CN=stamp"


def test_the_extra_is_needed_only_where_a_certificate_is_given(
    tmp_path: Path, note: Path, authority: Authority
) -> None:
    authority.stamp_file(note)
    (tmp_path / "rfc3161_client.py").write_text("raise ImportError('not installed')", encoding="utf-8")
    env = {"PYTHONPATH": str(tmp_path)}
    assert audit("verify", note.parent.parent / "audit.log", env=env).status == 0
    outcome = audit("verify", "--tsa-certificate", authority.root, note.parent.parent / "audit.log", env=env)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "time stamps need the extra: aegis-mcp-audit[timestamp]" in outcome.stderr
