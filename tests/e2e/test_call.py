"""A call through the real gateway: what reaches the upstream, what comes back, and what the log says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aegis_audit.entry import Entry
from support.gateway import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.usefixtures("either_way")
def test_an_allowed_call_leaves_an_intent_and_an_outcome_with_one_trace(stage: Stage) -> None:
    with stage.wrap() as host:
        host.initialize()
        host.request("tools/list")
        response = host.call("echo", {"text": "grüße"})
    assert response["result"]["content"][0]["text"] == json.dumps({"text": "grüße"})
    intent, outcome = stage.requests()
    assert intent["trace_id"] == outcome["trace_id"]
    assert intent["event"] | {"policy_sha256": "", "tool_sha256": ""} == {
        "access": "read",
        "access_from": "policy",
        "arguments": {"text": "grüße"},
        "client": {"name": "raw-host", "version": "1"},
        "decision": "allow",
        "method": "tools/call",
        "phase": "intent",
        "policy_sha256": "",
        "request_id": "host-3",
        "rule": "defaults.read",
        "server": "recording",
        "tool": "echo",
        "tool_sha256": "",
    }
    assert outcome["event"]["phase"] == "outcome"
    assert outcome["event"]["status"] == "ok"


@pytest.mark.usefixtures("either_way")
def test_the_intent_is_in_the_log_when_the_upstream_receives_the_call_and_the_outcome_is_not(stage: Stage) -> None:
    with stage.wrap() as host:
        host.initialize()
        seen = host.call("read_log", {})["result"]["content"][0]["text"]
    last = json.loads(seen.splitlines()[-1])
    assert (last["event"]["tool"], last["event"]["phase"]) == ("read_log", "intent")
    assert [entry["event"]["phase"] for entry in stage.requests()] == ["intent", "outcome"]


@pytest.mark.usefixtures("either_way")
def test_the_trace_of_the_host_joins_the_entries(stage: Stage) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with stage.wrap() as host:
        host.initialize()
        meta = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        host.request("tools/call", {"name": "echo", "arguments": {}, "_meta": meta})
    assert [entry["trace_id"] for entry in stage.requests()] == [trace, trace]


@pytest.mark.parametrize(
    "traceparent", ["", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "00-0AF7651916CD43DD8448EB211C80319C-b7-01", 7, None]
)
def test_a_traceparent_of_another_form_is_replaced_by_a_random_trace(stage: Stage, traceparent: object) -> None:
    with stage.wrap() as host:
        host.initialize()
        host.request("tools/call", {"name": "echo", "arguments": {}, "_meta": {"traceparent": traceparent}})
    intent, outcome = stage.requests()
    assert intent["trace_id"] == outcome["trace_id"]
    assert int(intent["trace_id"], 16) != 0


@pytest.mark.usefixtures("either_way")
def test_a_denied_call_is_answered_with_the_rule_and_never_reaches_the_upstream(stage: Stage) -> None:
    with stage.wrap() as host:
        host.initialize()
        response = host.call("write", {"path": "x"})
    assert response["result"]["isError"] is True
    assert "defaults.write" in response["result"]["content"][0]["text"]
    assert [frame["method"] for frame in stage.frames_received()] == ["initialize", "notifications/initialized"]
    (denied,) = stage.requests()
    assert denied["event_type"] == "access_denied"
    assert denied["event"]["forwarded"] is False
    assert denied["event"]["rule"] == "defaults.write"


@pytest.mark.usefixtures("either_way")
def test_a_method_that_no_revision_names_is_refused_and_recorded(stage: Stage) -> None:
    with stage.wrap() as host:
        host.initialize()
        response = host.request("tools/destroy", {"name": "everything"})
    assert response["error"]["code"] == -32010
    assert [(entry["event_type"], entry["event"]["method"]) for entry in stage.requests()] == [
        ("access_denied", "tools/destroy")
    ]


@pytest.mark.usefixtures("either_way")
def test_a_slow_call_does_not_hold_up_a_fast_one(stage: Stage) -> None:
    with stage.wrap() as host:
        host.initialize()
        slow = {"name": "wait", "arguments": {"seconds": 2}}
        host.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": slow})
        host.send({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo", "arguments": {}}})
        assert [host.receive_message()["id"], host.receive_message()["id"]] == [2, 1]


def test_an_upstream_that_dies_in_a_call_is_answered_for_and_the_gateway_lives(tmp_path: Path) -> None:
    stage = Stage(tmp_path, policy="version: 1\ndefaults: {write: allow}\n")
    with stage.wrap() as host:
        host.initialize()
        lost = host.call("die", {})
        later = host.call("echo", {})
    assert lost["result"]["isError"] is True
    assert "exited with status 3" in lost["result"]["content"][0]["text"]
    assert "exited with status 3" in later["result"]["content"][0]["text"]
    assert [entry["event"].get("status") for entry in stage.requests()] == [None, "upstream_lost", None]


def test_the_log_of_a_whole_session_verifies_and_each_line_is_an_entry(stage: Stage) -> None:
    with stage.wrap() as host:
        host.initialize()
        host.request("tools/list")
        host.call("echo", {"text": "a"})
        host.call("write", {"text": "a"})
    assert stage.verify().returncode == 0
    kinds = [Entry.parse(line).kind for line in stage.log.read_bytes().splitlines(keepends=True)]
    assert kinds == [
        "log_opened",
        "gateway_started",
        "policy_loaded",
        "upstream_started",
        None,
        None,
        None,
        "gateway_stopped",
        None,
    ]


@pytest.mark.usefixtures("either_way")
def test_what_the_host_sends_arrives_byte_for_byte(stage: Stage) -> None:
    frame = (
        b'{"id": 7,  "method":"tools/call","params":{"arguments":{"n":1.0,"e":1e2,"u":"\\u00e9"},"name":"echo"},'
        b'"x":[],"jsonrpc":"2.0"}'
    )
    with stage.wrap() as host:
        host.initialize()
        host.send(frame)
        host.answer_to(7)
    assert frame in stage.received.read_bytes().splitlines()
