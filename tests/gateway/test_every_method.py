"""Tasks, unknown methods, monitored calls, cancellation and order: what else passes the gate, in either era."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Final

import pytest

from aegis_mcp.lock import try_lock, unlock
from support.commands import run
from support.processes import wait_until
from support.scripted import Scripted, done, modern, text

POLICY: Final = """\
version: 1
upstreams: {scripted: {access: {read: ["get_*"], write: ["*"]}}}
rules:
  - {id: jobs, match: {tool: run, arguments: {job: {in: [backup]}}}, effect: allow, secrets: redact}
  - {id: watched, match: {tool: drop}, effect: monitor}
  - {id: extension, match: {method: "x/*"}, effect: allow}
pins: "off"
"""
TOKEN: Final = "ghp_" + "a1B2" * 9


def _task(era: str) -> dict[str, Any]:
    """Return the answer to a call that has become a task, as each era has it."""
    task = {"taskId": "t1", "status": "working"}
    return {"result": {"resultType": "task", **task} if era == "modern" else {"task": task}}


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("era", ["handshake", "modern"])
def test_what_goes_on_with_a_task_is_judged_as_the_call_that_made_it(tmp_path: Path, era: str) -> None:
    ok = {"result": {"resultType": "complete"}}
    script = {"tools/call": _task(era), "tasks/cancel t1": ok, "tasks/update t1": ok}
    scripted = Scripted(tmp_path, POLICY, **script, **{"tasks/get t1": {"result": {"said": TOKEN}}})
    with scripted.wrap() as host:
        host.initialize()
        call = {"name": "run", "arguments": {"job": "backup"}}
        modern(host, "tools/call", call) if era == "modern" else host.request("tools/call", call)
        looked = host.request("tasks/get", {"taskId": "t1"})
        ended = [host.request(method, {"taskId": "t1"}) for method in ("tasks/update", "tasks/cancel")]
        unknown = [host.request(method, {"taskId": "t2"}) for method in ("tasks/update", "tasks/cancel")]
    assert looked["result"] == {"said": "[redacted]"}
    assert [answer["result"] for answer in ended] == [ok["result"]] * 2
    assert [answer["error"]["code"] for answer in unknown] == [-32010] * 2
    recorded = [entry["event"] for entry in scripted.stage.requests() if "rule" in entry["event"]]
    assert [(event["method"], event.get("tool"), event["rule"]) for event in recorded] == [
        ("tools/call", "run", "jobs"),
        ("tasks/get", None, "defaults.read"),
        ("tasks/update", "run", "jobs"),
        ("tasks/cancel", "run", "jobs"),
        ("tasks/update", None, "defaults.write"),
        ("tasks/cancel", None, "defaults.write"),
    ]
    assert recorded[3]["arguments"] == {"job": "backup"}


def test_a_replay_decides_on_tasks_as_the_gate_did(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": _task("modern"), "tasks/cancel": {"result": {}}})
    with scripted.wrap() as host:
        modern(host, "tools/call", {"name": "run", "arguments": {"job": "backup"}})
        host.request("tasks/cancel", {"taskId": "t1"})
    command = ("policy", "replay", str(scripted.stage.log), "--policy", str(tmp_path / "policy.yaml"))
    assert "2 requests" in run(tmp_path / "home", *command).stdout
    assert run(tmp_path / "home", *command).status == 0


def test_a_method_that_no_revision_names_is_relayed_untouched_where_a_rule_allows_it(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"x/do": {"result": {"whatever": [1, {"a": None}]}}})
    frame = b'{"jsonrpc":"2.0", "id":5,"params":{"deep":{"n":1.0}},"method":"x/do"}'
    with scripted.wrap() as host:
        host.initialize()
        host.send(frame)
        answer = host.answer_to(5)
        refused = host.request("y/do")
    assert answer["result"] == {"whatever": [1, {"a": None}]}
    assert scripted.stage.received.read_bytes().splitlines()[-1] == frame
    assert refused["error"]["code"] == -32010
    assert "would allow it" in refused["error"]["message"]


def test_a_notification_that_a_rule_denies_is_dropped_and_recorded(tmp_path: Path) -> None:
    policy = 'version: 1\nrules: [{id: quiet, match: {method: "notifications/x*"}, effect: deny}]\n'
    said = [{"method": f"notifications/{name}"} for name in ("x1", "y")]
    scripted = Scripted(tmp_path, policy, ping=[*said, {"result": {}}])
    with scripted.wrap() as host:
        host.initialize()
        for name in ("x2", "z"):
            host.send({"jsonrpc": "2.0", "method": f"notifications/{name}", "params": {}})
        host.request("ping")
        assert [json.loads(line).get("method") for line in host.lines[1:]] == ["notifications/y", None]
    assert [frame["method"] for frame in scripted.stage.frames_received()] == [
        "initialize",
        "notifications/initialized",
        "notifications/z",
        "ping",
    ]
    denials = [
        (entry["event_type"], entry["event"]["method"], entry["event"]["rule"]) for entry in scripted.stage.requests()
    ]
    assert denials == [("access_denied", f"notifications/x{number}", "quiet") for number in (2, 1)]
    assert scripted.stage.verify().returncode == 0


def test_what_is_monitored_passes_and_the_log_says_that_it_would_have_been_denied(tmp_path: Path) -> None:
    scripted = Scripted(
        tmp_path, POLICY, **{"tools/call": done(), "tools/list": {"result": {"tools": [{"name": "drop"}]}}}
    )
    with scripted.wrap() as host:
        host.initialize()
        listed = host.request("tools/list")["result"]["tools"]
        assert text(host.call("drop", {})) == "done"
    assert listed == [{"name": "drop"}]
    intent, outcome = (entry["event"] for entry in scripted.stage.requests())
    assert (intent["decision"], intent["rule"], outcome["status"]) == ("monitor", "watched", "ok")


@pytest.mark.usefixtures("either_way")
def test_a_cancelled_call_is_recorded_and_its_late_answer_goes_nowhere(tmp_path: Path) -> None:
    late: dict[str, Any] = {"result": {}, "id": 1}
    scripted = Scripted(tmp_path, POLICY, **{"tools/call get_slow": [], "tools/call get_a": [late, done()]})
    with scripted.wrap() as host:
        host.initialize()
        host.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_slow"}})
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "bored"}}
        host.send(cancel)
        assert text(host.call("get_a", {})) == "done"
    assert scripted.received("notifications/cancelled") == [cancel]
    assert [message for line in host.lines if (message := json.loads(line)).get("id") == 1] == []
    slow = [entry["event"] for entry in scripted.stage.requests() if entry["event"]["tool"] == "get_slow"]
    assert [event.get("status") for event in slow] == [None, "cancelled"]
    assert scripted.events("protocol_violation") == []


@pytest.mark.usefixtures("either_way")
def test_two_hundred_notifications_and_the_answer_keep_their_order_while_the_log_is_slow(tmp_path: Path) -> None:
    progress = [
        {"method": "notifications/progress", "params": {"progressToken": 1, "progress": number}}
        for number in range(200)
    ]
    scripted = Scripted(tmp_path, POLICY, **{"tools/call get_all": [*progress, done()], "tools/call": done()})
    with scripted.wrap() as host:
        host.initialize()
        assert text(host.call("get_a", {})) == "done"
        with _log_held(scripted):
            host.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_all"}})
        seen = [host.receive_message() for _ in range(201)]
    assert [message.get("params", {}).get("progress", message.get("id")) for message in seen] == [*range(200), 1]


def _log_held(scripted: Scripted) -> _Held:
    return _Held(scripted.stage.log.parent / "audit.tlog" / "lock")


class _Held:
    """The lock of a log, held from now on and until 0.3 s after the block: every write waits for that long."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb+")

    def __enter__(self) -> None:
        wait_until(lambda: try_lock(self._file.fileno()))  # who has just written keeps it for a moment

    def __exit__(self, *_: object) -> None:
        threading.Timer(0.3, self._release).start()

    def _release(self) -> None:
        unlock(self._file.fileno())
        self._file.close()
