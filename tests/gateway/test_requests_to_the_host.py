"""What a server asks of the host, as a request of its own or inside an answer: judged and recorded alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from support.scripted import Scripted, done, modern, text

POLICY: Final = """\
version: 1
upstreams: {scripted: {access: {read: ["*"]}}}
rules:
  - {id: roots, match: {method: roots/list}, effect: allow}
  - {id: forms, match: {method: elicitation/create}, effect: monitor}
  - {id: samples, match: {method: sampling/createMessage, arguments: {maxTokens: {range: {max: 10}}}}, effect: ask}
pins: "off"
"""
ROOTS: Final[dict[str, Any]] = {"method": "roots/list", "params": {}}
FORM: Final[dict[str, Any]] = {"method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {}}}
SAMPLE: Final[dict[str, Any]] = {"method": "sampling/createMessage", "params": {"maxTokens": 5, "messages": []}}


def _needs(state: str | None = None, **wanted: dict[str, Any]) -> dict[str, Any]:
    result = {"resultType": "input_required", "inputRequests": wanted}
    return {"result": result if state is None else {**result, "requestState": state}}


def _told(scripted: Scripted) -> list[tuple[str, str, str | None, str | None]]:
    """Return what the log says of requests: type, method, phase or rule, and decision or status."""
    events = [(entry["event_type"], entry["event"]) for entry in scripted.stage.requests()]
    return [
        (kind, event["method"], event.get("phase", event.get("rule")), event.get("decision", event.get("status")))
        for kind, event in events
    ]


@pytest.mark.usefixtures("either_way")
def test_a_request_that_policy_allows_reaches_the_host_and_its_answer_the_server(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": [{"id": "u", **ROOTS}, done()]})
    with scripted.wrap() as host:
        host.initialize()
        host.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get"}})
        asked = host.receive_message()
        host.send({"jsonrpc": "2.0", "id": "u", "result": {"roots": []}})
        host.answer_to(1)
    assert asked == {"jsonrpc": "2.0", "id": "u", **ROOTS}
    assert scripted.answers() == [{"jsonrpc": "2.0", "id": "u", "result": {"roots": []}}]
    assert ("client_request", "roots/list", "intent", "allow") in _told(scripted)
    assert ("client_request", "roots/list", "outcome", "ok") in _told(scripted)


@pytest.mark.usefixtures("either_way")
def test_a_request_that_policy_denies_is_answered_for_the_host(tmp_path: Path) -> None:
    request: dict[str, Any] = {"id": "u", **SAMPLE, "params": {"maxTokens": 5000, "messages": []}}
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": [request, done()]})
    with scripted.wrap() as host:
        host.initialize()
        assert text(host.call("get", {})) == "done"
    (answer,) = scripted.answers()
    assert (answer["id"], answer["error"]["code"]) == ("u", -32010)
    assert "sampling" not in b"".join(host.lines).decode()
    assert ("access_denied", "sampling/createMessage", "defaults.client_request", "deny") in _told(scripted)


@pytest.mark.parametrize(("action", "is_passed"), [("accept", True), ("decline", False)])
def test_a_person_may_be_asked_whether_a_server_may_ask(tmp_path: Path, action: str, is_passed: bool) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": [{"id": "aegis-1", **SAMPLE}, done()]})
    forms: dict[str, Any] = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"elicitation": {}, "sampling": {}},
        "clientInfo": {},
    }
    with scripted.wrap() as host:
        host.request("initialize", forms)
        host.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get"}})
        first, second = host.receive_message(), host.receive_message()
        question = first if first.get("method") else second
        host.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": action}})
        if is_passed:
            assert host.receive_message() == {"jsonrpc": "2.0", "id": "aegis-1", **SAMPLE}
            host.send({"jsonrpc": "2.0", "id": "aegis-1", "result": {"model": "m"}})
        host.request("ping")
    assert question["params"]["message"].startswith("Let the server 'scripted' ask for sampling/createMessage?")
    (answer,) = scripted.answers()
    assert (answer["id"], "result" in answer) == ("aegis-1", is_passed)
    consents = [entry["event"].get("consent") for entry in scripted.stage.requests()]
    assert action in consents


@pytest.mark.usefixtures("either_way")
def test_requests_inside_an_answer_are_recorded_before_the_host_has_them_and_end_with_its_responses(
    tmp_path: Path,
) -> None:
    needs = _needs("state", a=ROOTS, b=FORM)
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": needs})
    with scripted.wrap() as host:
        first = modern(host, "tools/call", {"name": "get"})
        scripted.says({"tools/call": done()})
        responses: dict[str, Any] = {"a": {"roots": []}, "b": {"action": "decline"}}
        second = modern(host, "tools/call", {"name": "get", "inputResponses": responses, "requestState": "state"})
    assert (first["result"], text(second)) == (needs["result"], "done")
    assert _told(scripted) == [
        ("tool_invocation", "tools/call", "intent", "allow"),
        ("tool_invocation", "tools/call", "outcome", "ok"),
        ("client_request", "roots/list", "intent", "allow"),
        ("client_request", "elicitation/create", "intent", "monitor"),
        ("tool_invocation", "tools/call", "intent", "allow"),
        ("client_request", "roots/list", "outcome", "ok"),
        ("client_request", "elicitation/create", "outcome", "ok"),
        ("tool_invocation", "tools/call", "outcome", "ok"),
    ]
    assert len({entry["trace_id"] for entry in scripted.stage.requests()}) == 2
    assert scripted.stage.verify().returncode == 0


@pytest.mark.parametrize("denied", [SAMPLE, {"method": "tools/call", "params": {}}, {"params": {}}, 7])
def test_an_answer_with_a_request_that_is_denied_does_not_reach_the_host(tmp_path: Path, denied: Any) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": _needs("state", a=ROOTS, b=denied)})
    with scripted.wrap() as host:
        answer = modern(host, "tools/call", {"name": "get"})
    assert answer["result"]["isError"] is True
    assert text(answer).startswith("The answer was held back: the server asks for ")
    kinds = [(kind, status) for kind, _, _, status in _told(scripted)]
    assert [kind for kind, _ in kinds] == ["tool_invocation", "access_denied", "tool_invocation"]
    assert kinds[-1][1] == "refused"


def test_an_address_that_an_error_wants_opened_is_a_request_to_the_host(tmp_path: Path) -> None:
    wanted = {"elicitations": [{"mode": "url", "url": "https://evil.example/", "message": "log in"}]}
    error = {"error": {"code": -32042, "message": "log in", "data": wanted}}
    denying = POLICY.replace("effect: monitor", "effect: deny")
    for policy, code in ((POLICY, -32042), (denying, None)):
        place = tmp_path / str(code)
        place.mkdir()
        scripted = Scripted(place, policy, **{"tools/call": error})
        with scripted.wrap() as host:
            host.initialize()
            answer = host.call("get", {})
        assert answer.get("error", {}).get("code") == code
        assert "elicitation/create" in {method for _, method, _, _ in _told(scripted)}


def test_a_notification_of_a_task_with_a_request_that_is_denied_is_dropped(tmp_path: Path) -> None:
    note = {"method": "notifications/tasks", "params": {"taskId": "t", "inputRequests": {"a": SAMPLE}}}
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": [note, done()]})
    with scripted.wrap() as host:
        assert text(modern(host, "tools/call", {"name": "get"})) == "done"
    assert [line for line in host.lines if b"notifications/tasks" in line] == []
    assert ("access_denied", "sampling/createMessage", "samples", "deny") in _told(scripted)


def test_in_the_modern_era_a_server_asks_nothing_and_a_host_answers_nothing(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": [{"id": "u", **ROOTS}, done()]})
    with scripted.wrap() as host:
        assert text(modern(host, "tools/call", {"name": "get"})) == "done"
        host.send({"jsonrpc": "2.0", "id": "u", "result": {"roots": []}})
        modern(host, "tools/call", {"name": "get"})
    assert [line for line in host.lines if b"roots/list" in line] == []
    assert scripted.answers() == []
    reasons = [event["reason"] for event in scripted.events("protocol_violation")]
    asked = "a request of the upstream, which from revision 2026-07-28 on has none"
    assert reasons == [asked, "an answer that nobody waits for", asked]
