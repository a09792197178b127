"""An upstream that ends by itself: every call is answered, and a fresh one goes on from where it was."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from support.gateway import Stage
from support.host import INITIALIZE, RawHost
from support.processes import wait_until
from support.remote import listening

FRAIL: Final = Path(__file__).parents[1] / "support" / "frail.py"
EVERYTHING: Final = FRAIL.with_name("everything.py")
OPEN: Final = "version: 1\ndefaults: {write: allow, client_request: allow}\n"
CHANGED: Final = [f"notifications/{name}/list_changed" for name in ("prompts", "resources", "tools")]
ENVELOPE: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw-host", "version": "1"},
}

LIMIT_SECONDS = 3.0
"""One second is promised; a machine under load gets more."""


class Lives:
    """A gateway in front of the frail server, and what each life of that was sent."""

    def __init__(self, directory: Path) -> None:
        self.stage = Stage(directory, policy=OPEN)
        self._kept = directory / "lives"
        self._kept.mkdir()

    def wrap(self) -> RawHost:
        return self.stage.wrap(sys.executable, str(FRAIL), str(self._kept), name="frail")

    def number(self) -> int:
        return len(list(self._kept.glob("*.jsonl")))

    def sent_to(self, life: int) -> list[dict[str, Any]]:
        """Return what a host has sent to the first life of which it made use, or to a later one."""
        kept = sorted(self._kept.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        lives = [[json.loads(line) for line in path.read_bytes().splitlines()] for path in kept]
        used = [[frame for frame in frames if frame.get("id") != "bridge"] for frames in lives]
        return [*filter(None, used)][life]

    def set(self, name: str, text: str = "") -> Path:
        path = self._kept / name
        path.write_text(text, encoding="utf-8")
        return path

    def events(self) -> list[tuple[str, str | None]]:
        """Return what the log says of the life of the upstream."""
        events = [entry["event"] for entry in self.stage.entries() if "upstream" in entry["event"].get("kind", "")]
        return [(event["kind"], event.get("reason")) for event in events]

    def statuses(self) -> list[str]:
        return [event["status"] for entry in self.stage.requests() if "status" in (event := entry["event"])]


def _call(name: str, request_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": {"name": name, "arguments": {}}}


def _text(answer: dict[str, Any]) -> str:
    assert answer["result"]["isError"] is True
    return answer["result"]["content"][0]["text"]


def _changes(host: RawHost) -> list[str]:
    """Wait until the host is told that every list may have changed."""
    return [host.receive_message()["method"] for _ in CHANGED]


@pytest.mark.parametrize(
    ("tool", "how"),
    [("die", "exited with status 3"), ("hush", "closed its output"), ("deafen", "does not read any more")],
)
def test_a_call_that_an_upstream_fails_in_is_answered_and_a_fresh_one_goes_on(
    tmp_path: Path, tool: str, how: str
) -> None:
    lives = Lives(tmp_path)
    with lives.wrap() as host:
        host.initialize()
        start = time.monotonic()
        assert f"No answer: the upstream 'frail' {how}; it is started again within 0.25 s" in _text(host.call(tool, {}))
        assert time.monotonic() - start < LIMIT_SECONDS
        assert _changes(host) == CHANGED
        assert host.call("echo", {"n": 1})["result"]["content"][0]["text"] == '{"n": 1}'
    first, second = lives.sent_to(0), lives.sent_to(1)
    assert second[:2] == first[:2]
    assert [frame["method"] for frame in second] == ["initialize", "notifications/initialized", "tools/call"]
    assert lives.statuses() == ["upstream_lost", "ok"]
    assert lives.events() == [("upstream_started", None), ("upstream_lost", how), ("upstream_started", None)]
    assert lives.stage.verify().returncode == 0


@pytest.mark.usefixtures("over_http")
def test_a_call_that_a_remote_upstream_fails_in_is_answered_and_a_new_session_goes_on(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    with lives.wrap() as host:
        host.initialize()
        start = time.monotonic()
        assert _text(host.call("die", {})) == "No answer: the upstream 'frail' failed (502)"
        assert time.monotonic() - start < LIMIT_SECONDS
        assert _changes(host) == CHANGED
        assert host.call("echo", {"n": 1})["result"]["content"][0]["text"] == '{"n": 1}'
    first, second = lives.sent_to(0), lives.sent_to(1)
    assert second[:2] == first[:2]
    assert [frame["method"] for frame in second] == ["initialize", "notifications/initialized", "tools/call"]
    assert lives.statuses() == ["upstream_lost", "ok"]
    kinds = [entry["event"]["kind"] for entry in lives.stage.entries() if "kind" in entry["event"]]
    assert kinds[3:] == ["upstream_started", "request_failed", "session_renewed", "gateway_stopped"]
    assert lives.stage.verify().returncode == 0


def test_what_an_upstream_says_last_arrives_before_it_is_lost(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    with lives.wrap() as host:
        host.initialize()
        assert len(host.call("die_answering", {})["result"]["content"][0]["text"]) == 1_000_000
        assert _changes(host) == CHANGED
    assert lives.statuses() == ["ok"]


@pytest.mark.usefixtures("either_way")
def test_what_a_host_has_asked_of_an_upstream_for_good_is_asked_of_the_fresh_one(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    with lives.wrap() as host:
        host.initialize()
        host.request("logging/setLevel", {"level": "debug"})
        host.request("logging/setLevel", {"level": "error"})
        for uri in ("test://a", "test://b"):
            host.request("resources/subscribe", {"uri": uri})
        host.request("resources/unsubscribe", {"uri": "test://a"})
        host.call("die", {})
        assert _changes(host) == CHANGED
        host.request("ping")
        assert [line for line in host.lines if b"replay" in line] == []
    again = [(frame["method"], frame.get("params")) for frame in lives.sent_to(1)]
    assert again == [
        ("initialize", INITIALIZE),
        ("notifications/initialized", None),
        ("logging/setLevel", {"level": "error"}),
        ("resources/subscribe", {"uri": "test://b"}),
        ("ping", {}),
    ]


def test_what_policy_refuses_by_then_is_not_asked_of_the_fresh_one_and_the_host_hears_nothing_of_it(
    tmp_path: Path,
) -> None:
    lives = Lives(tmp_path)
    with lives.wrap() as host:
        host.initialize()
        host.request("logging/setLevel", {"level": "debug"})
        denied = OPEN + "rules: [{id: quiet, match: {method: logging/setLevel}, effect: deny}]\n"
        (lives.stage.directory / "policy.new").write_text(denied, encoding="utf-8")
        (lives.stage.directory / "policy.new").replace(lives.stage.directory / "policy.yaml")
        assert _changes(host) == CHANGED
        host.call("die", {})
        assert _changes(host) == CHANGED
        host.request("ping")
        assert [line for line in host.lines if b"replay" in line] == []
    assert [frame["method"] for frame in lives.sent_to(1)] == ["initialize", "notifications/initialized", "ping"]
    (refused,) = [entry["event"] for entry in lives.stage.requests() if entry["event_type"] == "access_denied"]
    assert (refused["method"], refused["rule"], refused["forwarded"]) == ("logging/setLevel", "quiet", False)


def test_an_upstream_that_keeps_ending_is_started_less_and_less_often_and_its_calls_are_refused(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    with lives.wrap() as host:
        host.initialize()
        broken = lives.set("broken")
        host.call("die", {})
        wait_until(lambda: lives.number() == 4)
        wait_until(lambda: len(lives.events()) == 8)
        refusal = _text(host.call("echo", {}))
        why = "cannot be started again: it exited with status 7; it is started again within 2 s"
        assert refusal == f"Denied by 'protocol': the upstream 'frail' {why}"
        broken.unlink()
        assert _changes(host) == CHANGED
        assert "isError" not in host.call("echo", {})["result"]
    started = [
        datetime.fromisoformat(entry["timestamp"])
        for entry in lives.stage.entries()
        if entry["event"].get("kind") == "upstream_started"
    ]
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(started)]
    assert all(pause >= least for pause, least in zip(pauses, (0.25, 0.5, 1, 2), strict=True))


def test_an_upstream_that_speaks_another_revision_after_its_end_does_not_go_on(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    with lives.wrap() as host:
        host.initialize()
        lives.set("version", "2024-11-05")
        host.call("die", {})
        wait_until(lambda: len(lives.events()) == 4)
        assert "does not answer the handshake as it did before" in _text(host.call("echo", {}))


def test_a_host_is_told_that_nobody_waits_for_what_a_lost_upstream_has_asked(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    with lives.wrap() as host:
        host.initialize()
        host.send(_call("die_asking"))
        asked, cancelled, answer = (host.receive_message() for _ in range(3))
        assert asked["method"] == "sampling/createMessage"
        assert (cancelled["method"], cancelled["params"]) == ("notifications/cancelled", {"requestId": "ask"})
        assert answer["id"] == 1
        host.send({"jsonrpc": "2.0", "id": "ask", "result": {}})
        assert _changes(host) == CHANGED
        host.call("echo", {})
    assert sorted(lives.statuses()) == ["ok", "upstream_lost", "upstream_lost"]
    assert "protocol_violation" not in {entry["event"].get("kind") for entry in lives.stage.entries()}


def test_a_host_may_end_the_gateway_while_the_upstream_is_down(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    host = lives.wrap()
    host.initialize()
    lives.set("broken")
    host.call("die", {})
    wait_until(lambda: len(lives.events()) == 6)
    start = time.monotonic()
    assert host.close() == 0
    assert time.monotonic() - start < LIMIT_SECONDS
    assert "gateway_stopped" in {entry["event"].get("kind") for entry in lives.stage.entries()}


def test_lists_are_promised_to_change_because_policy_and_restarts_change_them(tmp_path: Path) -> None:
    with Lives(tmp_path).wrap() as host:
        capabilities = host.initialize()["result"]["capabilities"]
    assert capabilities == {
        "logging": {},
        "prompts": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": True},
        "tools": {"listChanged": True},
    }


def test_a_handshake_after_a_discovery_reaches_an_upstream_that_locks_its_revision(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=OPEN)
    with stage.wrap(sys.executable, "-P", str(EVERYTHING), name="everything") as host:
        discovered = host.request("server/discover", {"_meta": ENVELOPE})["result"]
        assert "2026-07-28" in discovered["supportedVersions"]
        assert host.initialize()["result"]["protocolVersion"] == "2025-11-25"
        assert len(host.request("tools/list")["result"]["tools"]) > 1
    kinds = [entry["event"]["kind"] for entry in stage.entries() if "upstream" in entry["event"].get("kind", "")]
    assert kinds == ["upstream_started", "upstream_lost", "upstream_started"]


def test_a_handshake_after_a_discovery_reaches_a_remote_upstream_in_the_same_life(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=OPEN)
    with (
        listening(sys.executable, "-P", str(EVERYTHING), "--http") as url,
        RawHost(stage.command_at("everything", "--url", url), stage.environment) as host,
    ):
        discovered = host.request("server/discover", {"_meta": ENVELOPE})["result"]
        assert "2026-07-28" in discovered["supportedVersions"]
        assert host.initialize()["result"]["protocolVersion"] == "2025-11-25"
        assert len(host.request("tools/list")["result"]["tools"]) > 1
    kinds = [entry["event"]["kind"] for entry in stage.entries() if "kind" in entry["event"]]
    assert kinds[3:] == ["upstream_started", "gateway_stopped"]


def test_what_a_later_revision_has_removed_is_left_to_the_upstream(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy=OPEN)
    with stage.wrap(sys.executable, "-P", str(EVERYTHING), name="everything") as host:
        host.request("server/discover", {"_meta": ENVELOPE})
        assert host.request("initialize", {"_meta": ENVELOPE})["error"]["code"] == -32022
        assert host.request("resources/unsubscribe", {"_meta": ENVELOPE})["error"]["code"] == -32601
        assert len(host.request("tools/list", {"_meta": ENVELOPE})["result"]["tools"]) > 1
    kinds = [entry["event"]["kind"] for entry in stage.entries() if "upstream" in entry["event"].get("kind", "")]
    assert kinds == ["upstream_started"]
