"""Checkpoints that an authority has stamped: what is kept satisfies OpenSSL, and no other answer is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.note import Note
from aegis_mcp.audit.stamping import Stamping
from aegis_mcp.errors import AnchorUnavailable
from support.answering import answering, http
from support.authority import Authority
from support.commands import run
from support.gateway import READS, Stage
from support.journals import append, log_of
from support.signatures import published, signed_journal

pytestmark = pytest.mark.openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority for all tests here."""
    made = Authority(tmp_path_factory.mktemp("authority") / "tsa")
    made.found()
    return made


def _kept(sidecar: Path) -> list[str]:
    return sorted(path.name for path in sidecar.glob("stamped-*"))


def test_openssl_accepts_what_is_kept_and_the_newest_two_stay(tmp_path: Path, authority: Authority) -> None:
    with authority.serving() as url:
        anchors = f"audit: {{durability: sync, anchors: {{places: [{{timestamp: {url}}}]}}}}\n"
        stage = Stage(tmp_path, policy=READS + anchors)
        sizes: list[int] = []
        for _ in range(3):
            with stage.wrap() as host:
                host.initialize()
                host.call("echo", {})
            command = ("checkpoint", "--policy", str(tmp_path / "policy.yaml"), "--audit-log", str(stage.log))
            assert run(tmp_path / "home", "audit", *command).status == 0
            sizes.append(published(tmp_path).size)
    sidecar = stage.log.parent / "audit.tlog"
    stamped = sorted(int(name.removeprefix("stamped-")) for name in _kept(sidecar) if not name.endswith(".tsr"))
    assert len(stamped) == 2
    assert stamped[-1] == sizes[-1]
    for size in stamped:
        note = sidecar / f"stamped-{size}"
        assert Checkpoint.parse(Note.parse(note.read_bytes()).text).size == size
        assert authority.accepts(note, note.with_name(f"{note.name}.tsr"))
    judged = json.loads(
        stage.audit("verify", "--format", "json", "--tsa-certificate", str(authority.root), str(stage.log)).stdout
    )
    assert {one["size"]: one["stamped_by"] for one in judged["anchors"] if one["stamped_at"]} == dict.fromkeys(
        stamped, "CN=stamp"
    )
    assert judged["exit_code"] == 0


def _replay(authority: Authority) -> Callable[[bytes], bytes]:
    """Return what gives the same answer to every request: the one to the first."""
    answers: list[bytes] = []

    def answer(request: bytes) -> bytes:
        answers.append(authority.stamp(request))
        return http(answers[0])

    return answer


def test_only_a_token_for_the_request_is_kept(tmp_path: Path, authority: Authority) -> None:
    journal, sidecar = signed_journal(tmp_path), log_of(tmp_path).parent / "audit.tlog"
    append(journal, 1)
    journal.checkpoint(patience=10)
    note = (sidecar / "checkpoint").read_bytes()
    with answering(_replay(authority)) as url:
        stamping = Stamping(url, sidecar)
        stamping.publish(note)
        kept = {name: (sidecar / name).read_bytes() for name in _kept(sidecar)}
        with pytest.raises(AnchorUnavailable, match="is for another request"):
            stamping.publish(note)
        append(journal, 2)
        journal.checkpoint(patience=10)
        with pytest.raises(AnchorUnavailable, match="is of other bytes"):
            stamping.publish((sidecar / "checkpoint").read_bytes())
    assert {name: (sidecar / name).read_bytes() for name in _kept(sidecar)} == kept


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (http(b"no token"), "is no TimeStampResp"),
        (http(b""), "is no TimeStampResp"),
        (http(b"", "503 Busy"), "answers with status 503"),
        (http(b"x" * 300_000), "more than 262144 bytes"),
    ],
)
def test_what_is_no_token_is_not_kept(tmp_path: Path, answer: bytes, why: str) -> None:
    journal, sidecar = signed_journal(tmp_path), log_of(tmp_path).parent / "audit.tlog"
    append(journal, 1)
    journal.checkpoint(patience=10)
    with answering(lambda _: answer) as url, pytest.raises(AnchorUnavailable, match=why):
        Stamping(url, sidecar).publish((sidecar / "checkpoint").read_bytes())
    assert _kept(sidecar) == []


def test_an_authority_that_grants_nothing_says_why(tmp_path: Path) -> None:
    refusing = Authority(tmp_path / "tsa", digests="sha512")
    refusing.found()
    with refusing.serving() as url, pytest.raises(AnchorUnavailable, match="grants no token: status 2, "):
        Stamping(url, tmp_path).publish(b"anything")


def test_a_gateway_does_not_start_with_an_authority_that_has_no_address(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=READS + "audit: {anchors: {places: [{timestamp: /etc/passwd}]}}\n")
    with stage.wrap() as host:
        host.process.wait(20)
    assert host.process.returncode == 2
    assert b"'/etc/passwd' must be a URL of the form" in host.stderr
