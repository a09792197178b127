"""Credentials in arguments appear nowhere: not in the log, not on stderr, not in a report, not in an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.auditor import environment
from support.gateway import READS, Stage
from support.loaded import run
from support.secrets import corpus


def _outputs_of_audit(stage: Stage) -> bytes:
    commands = (("inspect", "--format", "json"), ("inspect",), ("summarize", "--format", "json"), ("summarize",))
    outputs = [
        run("aegis_audit", (*command, str(stage.log)), environment(), seconds=60)
        for command in (*commands, ("verify",))
    ]
    return b"".join(output.stdout + output.stderr for output in outputs)


@pytest.mark.usefixtures("either_way")
def test_no_credential_of_the_corpus_is_written_anywhere(tmp_path: Path) -> None:
    secrets = corpus()
    stage = Stage(tmp_path, policy=READS)
    with stage.wrap() as host:
        host.initialize()
        answers: list[object] = []
        for secret in secrets:
            for tool in ("echo", "write", secret):
                host.call(tool, {"note": f"use {secret} here", "nested": [{"token": secret}]})
            answers.append(host.request("resources/read", {"uri": f"https://example.org/?token={secret}"}))
            answers.append(host.call("write", {"password": secret}))
            host.send(json.dumps({"jsonrpc": "2.0", "id": None, "method": secret}).encode())
            answers.append(host.receive_message())
    written = b"".join(path.read_bytes() for path in stage.log.parent.rglob("*") if path.is_file())
    for place in (written, host.stderr, _outputs_of_audit(stage), json.dumps(answers).encode()):
        assert [secret for secret in secrets if secret.encode() in place] == []
    assert stage.verify().returncode == 0
    assert len(stage.requests()) > len(secrets) * 5
