"""A first start: where everything is put, and what is left behind when nothing can be served."""

from __future__ import annotations

import json
from pathlib import Path

from support.commands import run
from support.gateway import Stage


def test_an_upstream_that_cannot_be_started_leaves_a_log_that_is_signed_to_its_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with stage.wrap(str(tmp_path / "nothing")) as host:
        host.process.wait(20)
    *_, lost, stopped, checkpoint = stage.entries()
    assert [lost["event"]["kind"], stopped["event"]["kind"]] == ["upstream_lost", "gateway_stopped"]
    assert stopped["event"]["reason"] == "the upstream could not be started"
    assert checkpoint["event_type"] == "checkpoint"
    assert stage.verify().returncode == 0


def test_no_key_stands_below_the_log_where_a_platform_has_one_directory_for_data_and_state(tmp_path: Path) -> None:
    shared = str(tmp_path / "shared")
    run(tmp_path, "wrap", "--", "cat", extra={"XDG_STATE_HOME": shared, "XDG_DATA_HOME": shared})
    (log,) = tmp_path.rglob("audit.log")
    keys = [*tmp_path.rglob("*.key")]
    assert {key.name for key in keys} == {"log.key", "epoch.key", "redaction.key"}
    assert [key for key in keys if key.is_relative_to(log.parent)] == []
    assert json.loads(log.read_bytes().splitlines()[-1])["event_type"] == "checkpoint"
