"""A remote server through the gateway: what is allowed arrives as it was sent, in its order, in both eras."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from aegis_mcp.upstream.network import MAX_CONNECTIONS
from support.commands import run
from support.gateway import Stage
from support.host import GATEWAY, RawHost, environment
from support.processes import wait_until
from support.remote import host_of, policy_for, remote_server, requests_received, text_of

MODERN: Final[dict[str, Any]] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
LOST_SECONDS: Final = 2.0
"""A second is promised; a machine under load gets as much again."""
CHANGED: Final = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'


def _frames(stage: Stage) -> list[bytes]:
    return [request["body"] for request in requests_received(stage) if request["method"] == "POST"]


def _takes_connections(port: int) -> bool:
    with socket.socket() as peer:
        return peer.connect_ex(("127.0.0.1", port)) == 0


def _call(number: int, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {"name": tool, "arguments": arguments, "_meta": MODERN}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def test_frames_arrive_byte_for_byte_and_their_intent_is_in_the_log_before(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        odd = b'{ "jsonrpc":"2.0","x":1.0, "id":7,"method":"tools/call","params":{"name":"echo","arguments":{"a":1e2}}}'
        with host_of(stage) as host:
            host.initialize()
            host.send(odd)
            assert json.loads(host.answer_to(7)["result"]["content"][0]["text"]) == {"a": 100.0}
            log = text_of(host.call("read_log", {"log": str(stage.log)}))
    assert _frames(stage)[2] == odd
    assert [json.loads(line)["event"].get("tool") for line in log.splitlines()][-1] == "read_log"
    assert [entry["event"]["phase"] for entry in stage.requests()] == ["intent", "outcome"] * 2
    assert stage.verify().returncode == 0


def test_what_policy_denies_does_not_leave(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            assert "Denied by 'defaults.write'" in text_of(host.call("write", {}))
    assert all(b"tools/call" not in frame for frame in _frames(stage))


def test_a_path_outside_of_where_a_rule_allows_it_does_not_leave(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    within = f"{{tool: write, arguments: {{path: {{within: ['{inside}']}}}}}}"
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url) + f"rules: [{{id: work, match: {within}, effect: allow}}]\n")
        with host_of(stage) as host:
            host.initialize()
            paths = [f"{inside}/a", f"{outside}/a", f"{inside}/../out/a", f"{inside}/link/a", f"{inside}/link/../a"]
            said = [text_of(host.call("write", {"path": path})) for path in paths]
        sent = [json.loads(frame)["params"]["arguments"]["path"] for frame in _frames(stage) if b"tools/call" in frame]
    assert sent == paths[:1]
    assert [text.startswith("Denied by 'defaults.write'") for text in said] == [False] + [True] * 4


def test_the_session_goes_with_each_request_and_is_ended(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            host.call("echo", {})
        requests = requests_received(stage)
    sessions = {request["headers"].get("mcp-session-id") for request in requests[1:]}
    assert len(sessions) == 1
    assert None not in sessions
    assert requests[-1]["method"] == "DELETE"
    assert {request["headers"].get("mcp-protocol-version") for request in requests[1:]} == {"2025-11-25"}


def test_the_modern_era_is_stamped_on_each_request(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.request("tools/list", {"_meta": MODERN})
            host.send(_call(2, "echo", {"region": "Zürich", "x": 1}))
            host.answer_to(2)
        listed, called = requests_received(stage)
    stamped = {name: value for name, value in called["headers"].items() if name.startswith("mcp-")}
    assert stamped == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "echo",
        "mcp-param-region": "=?base64?WsO8cmljaA==?=",
    }
    assert listed["headers"]["mcp-method"] == "tools/list"
    assert "mcp-session-id" not in listed["headers"]


def test_a_refusal_in_the_era_without_sessions_reaches_the_host_also_where_there_is_a_session(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            answer = host.request("logging/setLevel", {"level": "error", "_meta": MODERN})
        assert answer["error"] == {"code": -32601, "message": "no such method"}
        asked = [request for request in requests_received(stage) if b"logging/setLevel" in request["body"]]
        begun = [request for request in requests_received(stage) if b'"initialize"' in request["body"]]
    assert ["mcp-session-id" in request["headers"] for request in asked] == [False]
    assert len(begun) == 1


def test_what_is_told_before_a_request_arrives_before_it(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            for number in range(20):
                host.send({"jsonrpc": "2.0", "method": "notifications/told", "params": {"n": number}})
                host.send({"jsonrpc": "2.0", "id": number, "method": "ping", "params": {"n": number}})
            answered = {host.receive_message()["id"] for _ in range(20)}
    assert answered == set(range(20))
    arrived = [json.loads(frame) for frame in _frames(stage)[2:]]
    told = [frame["params"]["n"] for frame in arrived if "id" not in frame]
    places = {(frame["method"], frame["params"]["n"]): place for place, frame in enumerate(arrived)}
    assert told == list(range(20))
    assert all(places["notifications/told", number] < places["ping", number] for number in range(20))


def test_progress_comes_before_the_answer_and_in_its_order(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url, host_of(Stage(tmp_path, policy_for(url))) as host:
        host.initialize()
        params = {"name": "progress", "arguments": {}, "_meta": {"progressToken": "t"}}
        host.send({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params})
        messages = [host.receive_message() for _ in range(4)]
    assert [message.get("params", {}).get("progress") for message in messages] == [1, 2, 3, None]
    assert text_of(messages[3]) == "done"


def test_what_the_server_asks_of_the_host_is_judged_and_its_answer_goes_back(tmp_path: Path) -> None:
    rule = "rules:\n- {id: may-sample, match: {method: sampling/createMessage}, effect: allow}\n"
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url) + rule)
        with host_of(stage) as host:
            host.initialize()
            host.send_call(5, "sample")
            asked = host.receive_message()
            assert asked["method"] == "sampling/createMessage"
            host.send({"jsonrpc": "2.0", "id": asked["id"], "result": {"role": "assistant"}})
            assert text_of(host.answer_to(5)) == '{"role": "assistant"}'
    assert [entry["event_type"] for entry in stage.requests()].count("client_request") == 2


def test_a_cancelled_request_is_taken_back_by_closing_its_stream_in_the_modern_era(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.send(_call(1, "silent", {}))
            host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
            host.send(_call(2, "echo", {}))
            assert host.receive_message()["id"] == 2
    assert [json.loads(frame).get("id") for frame in _frames(stage)] == [1, 2]
    assert [entry["event"].get("status") for entry in stage.requests()].count("cancelled") == 1


def test_more_requests_than_go_to_one_server_at_once_are_said_to_be_too_many(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            for number in range(MAX_CONNECTIONS):
                host.send(_call(number, "silent", {}))
            # Whoever begins waits for less time than others, and hears it sooner.
            why = text_of(host.request("server/discover", {"_meta": MODERN}))
            host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 0}})
            host.send(_call(MAX_CONNECTIONS, "echo", {}))
            assert text_of(host.answer_to(MAX_CONNECTIONS)) == "{}"
    full = f"has {MAX_CONNECTIONS} requests under way, and no more at once"
    assert why == f"No answer: the upstream 'remote' {full}: this one has waited 1.2 s for its turn"
    assert stage.verify().returncode == 0


def test_a_cancellation_leaves_where_as_many_requests_are_under_way_as_may_be(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            for number in range(MAX_CONNECTIONS):
                host.send_call(number, "silent")
            host.send({"jsonrpc": "2.0", "id": "waiting", "method": "ping"})
            for number in ("waiting", 0):
                host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}})
            wait_until(lambda: b"notifications/cancelled" in _frames(stage)[-1])
        sent = [json.loads(frame) for frame in _frames(stage)[2:]]
    assert [frame["method"] for frame in sent] == ["tools/call"] * MAX_CONNECTIONS + ["notifications/cancelled"]
    assert sent[-1]["params"] == {"requestId": 0}
    assert stage.verify().returncode == 0


def test_answers_to_what_the_server_asks_are_not_behind_requests_that_wait_for_their_turn(tmp_path: Path) -> None:
    rule = "rules:\n- {id: may-sample, match: {method: sampling/createMessage}, effect: allow}\n"
    with remote_server(tmp_path) as url, host_of(Stage(tmp_path, policy_for(url) + rule)) as host:
        host.initialize()
        for number in range(2 * MAX_CONNECTIONS):
            host.send_call(number, "sample")
        answers: dict[int, str] = {}
        while len(answers) < 2 * MAX_CONNECTIONS:
            message = host.receive_message()
            if "method" in message:
                host.send({"jsonrpc": "2.0", "id": message["id"], "result": {"role": "assistant"}})
            else:
                answers[message["id"]] = text_of(message)
    assert answers == dict.fromkeys(range(2 * MAX_CONNECTIONS), '{"role": "assistant"}')


def test_a_notification_that_the_server_does_not_take_does_not_hold_up_what_comes_after_it(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url, timeout=60))
        with host_of(stage) as host:
            host.initialize()
            for _ in range(3):
                never = {"until": str(tmp_path / "never")}
                host.send({"jsonrpc": "2.0", "method": "notifications/held", "params": never})
            assert text_of(host.call("echo", {})) == "{}"
    assert stage.verify().returncode == 0


def test_a_cancellation_is_sent_in_the_era_of_the_handshake(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            host.send_call(1, "silent")
            host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
            host.call("echo", {})
        sent = [json.loads(frame)["method"] for frame in _frames(stage)]
    assert sent[2:] == ["tools/call", "notifications/cancelled", "tools/call"]


def test_a_stream_that_breaks_is_taken_up_again_where_it_was(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            assert text_of(host.call("broken", {})) == "taken up again"
        assert [request["headers"].get("last-event-id") for request in requests_received(stage)].count("1") == 1


def test_a_session_that_the_server_has_forgotten_is_begun_anew(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            host.call("forget", {})
            assert text_of(host.call("echo", {"still": "here"})) == '{"still": "here"}'
            assert sum(json.loads(line).get("id") == "host-1" for line in host.lines) == 1
    assert host.lines.count(CHANGED) == 1
    assert [entry["event"]["kind"] for entry in stage.entries() if "kind" in entry["event"]][-2:] == [
        "session_renewed",
        "gateway_stopped",
    ]


def test_a_session_that_is_forgotten_again_and_again_has_one_stream_at_a_time(tmp_path: Path) -> None:
    with remote_server(tmp_path, "--stateless", "--forgetful") as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            wait_until(lambda: sum(b'"initialize"' in request["body"] for request in requests_received(stage)) == 4)
        asked = [json.loads(each["body"])["method"] if each["body"] else "" for each in requests_received(stage)]
    begun = ["initialize", "notifications/initialized", "", ""]
    assert asked[:13] == [*begun * 3, "initialize"]
    assert stage.verify().returncode == 0


def test_a_server_that_dies_in_a_call_is_answered_for_and_gone_on_with_once_it_is_back(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            assert text_of(host.call("die", {})) == "No answer: the upstream 'remote' broke the connection off"
            port = urlsplit(url).port or 0
            wait_until(lambda: not _takes_connections(port))  # a process that ends closes one socket after the other
            why = "could not be reached: nothing takes connections there"
            assert text_of(host.call("echo", {})) == f"No answer: the upstream 'remote' {why}"
            with remote_server(tmp_path, "--port", str(port)):
                assert text_of(host.call("echo", {"n": 1})) == '{"n": 1}'
    assert host.lines.count(CHANGED) == 1
    assert [entry["event"].get("status") for entry in stage.requests()] == [None, "upstream_lost"] * 2 + [None, "ok"]
    assert stage.verify().returncode == 0


def test_a_server_that_dies_in_a_stream_that_could_be_gone_on_with_is_answered_for_soon(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            start = time.monotonic()
            assert (
                text_of(host.call("die_later", {}))
                == "No answer: the upstream 'remote' ended the stream before the answer"
            )
            assert time.monotonic() - start < LOST_SECONDS
    assert stage.requests()[-1]["event"]["status"] == "upstream_lost"


@pytest.mark.parametrize("answer", [{"protocolVersion": "2024-11-05"}, {}])
def test_a_session_that_does_not_begin_as_it_did_before_is_not_gone_on_with(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    with remote_server(tmp_path) as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            host.call("forget", {"answer": answer})
            why = "has forgotten the session, and does not begin it as it did before"
            assert text_of(host.call("echo", {})) == f"No answer: the upstream 'remote' {why}"
    assert stage.requests()[-1]["event"]["status"] == "upstream_lost"


def test_a_redirect_within_the_origin_is_followed(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url, host_of(Stage(tmp_path, policy_for(url.replace("/mcp", "/moved")))) as host:
        assert "result" in host.initialize()
        assert text_of(host.call("echo", {})) == "{}"


def test_wrap_serves_a_url_and_the_headers_that_the_policy_refers_to(tmp_path: Path) -> None:
    with remote_server(tmp_path) as url:
        policy = policy_for("https://host.example/", 'auth: {header: {Authorization: "Bearer ${env:TOKEN}"}}')
        stage = Stage(tmp_path, policy, {"TOKEN": "t0p-s3cret"})
        command = stage.command("unused")
        options = command[command.index("--policy") : command.index("--name")]
        with RawHost((*GATEWAY, "wrap", *options, "--name", "remote", "--url", url), stage.environment) as host:
            host.initialize()
        assert requests_received(stage)[0]["headers"]["authorization"] == "Bearer t0p-s3cret"
        assert "t0p-s3cret" not in stage.log.read_text() + host.stderr.decode()


@pytest.mark.parametrize("query", ["", "?key=t0p-s3cret"])
def test_a_proposal_for_a_server_is_a_policy_under_which_it_is_served(tmp_path: Path, query: str) -> None:
    proposal = tmp_path / "proposal.yaml"
    options = ("--name", "remote", "--output", str(proposal))
    with remote_server(tmp_path) as url:
        assert run(tmp_path, "policy", "suggest", *options, "--url", url + query).status == 0
        told = proposal.read_text(encoding="utf-8")
        if not query:
            with host_of(Stage(tmp_path, told), "--upstream", "remote") as host:
                host.initialize()
                host.request("tools/list")
                assert text_of(host.call("read_log", {"log": str(proposal)})) == told
    assert ("# url: its query may hold a secret, and is yours to write" in told) == bool(query)
    assert "t0p-s3cret" not in told


def test_a_secret_that_is_not_set_stops_the_start(tmp_path: Path) -> None:
    policy = policy_for("https://host.example/", 'auth: {header: {Authorization: "Bearer ${env:TOKEN}"}}')
    with host_of(Stage(tmp_path, policy)) as host:
        assert host.process.wait(20) == 2
    assert b"the environment variable TOKEN is not set" in host.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--name", "x"], "a command after --, or a --url"),
        (["--url", "https://host.example/", "--", "x"], "a command after --, or a --url"),
        (["--url", "http://host.example/"], "use https://"),
        (["--oauth", "--", "x"], "for a remote upstream"),
        (["--url", "https://host.example/", "--env", "A"], "for an upstream that is a command"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_served(tmp_path: Path, arguments: list[str], expected: str) -> None:
    command = [*GATEWAY, "wrap", *arguments]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, expected in done.stderr) == (2, True), done.stderr


HEAVY: Final = ("mcp", "mcp_types", "pydantic")


@pytest.mark.parametrize(
    ("modules", "loaded"),
    [
        ("aegis_mcp.cli.serving, aegis_mcp.cli.wrap", []),
        ("aegis_mcp.cli.serving, aegis_mcp.cli.remote", ["anyio", "httpx2"]),
    ],
    ids=["local", "remote"],
)
def test_a_gateway_loads_nothing_of_what_only_others_need(modules: str, loaded: list[str]) -> None:
    code = f"""
import sys
import {modules}
print(sorted({{"anyio", "httpx2", *{HEAVY}}}.intersection(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(loaded)


def _has_loaded_the_sdk(host: RawHost) -> bool:
    """Tell whether the compiled part of the SDK's models is in the memory of the gateway."""
    return "pydantic" in Path(f"/proc/{host.process.pid}/maps").read_text(encoding="utf-8")


def test_a_gateway_that_runs_does_not_load_the_sdk(tmp_path: Path) -> None:
    with Stage(tmp_path).wrap() as host:
        host.initialize()
        host.call("echo", {})
        assert not _has_loaded_the_sdk(host)
    with remote_server(tmp_path) as url, host_of(Stage(tmp_path, policy_for(url))) as host:
        host.initialize()
        host.call("echo", {})
        assert not _has_loaded_the_sdk(host)
        host.request("tools/list", {"_meta": MODERN})
        assert _has_loaded_the_sdk(host)  # for the arguments that a tool marks for headers
