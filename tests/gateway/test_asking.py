"""`ask`: a person decides, in the way of either era, and nobody and nothing else can."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext, ElicitationFnT
from mcp.types import ElicitRequestParams, ElicitResult, ErrorData

from support.scripted import ENVELOPE, Scripted, done, modern, text

POLICY: Final = """\
version: 1
upstreams: {scripted: {access: {read: ["get_*"], write: ["*"]}}}
rules: [{id: pushes, match: {tool: push}, effect: ask, reason: a push leaves this machine}]
ask: {timeout: 1}
pins: "off"
"""
FORMS: Final[dict[str, Any]] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"elicitation": {}},
    "clientInfo": {"name": "h"},
}


def _scripted(directory: Path, policy: str = POLICY, **script: Any) -> Scripted:
    whole = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    introduced: dict[str, Any] = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, **whole}
    tools = {"tools": [{"name": "push", "inputSchema": {"type": "object"}}], **whole}
    said = {
        "server/discover": {"result": introduced},
        "tools/list": {"result": tools},
        "tools/call": {"result": {**done("pushed")["result"], "resultType": "complete"}},
    }
    return Scripted(directory, policy, **said | script)


def _client(scripted: Scripted, mode: str, callback: ElicitationFnT | None) -> Client:
    program, *arguments = scripted.command()
    server = StdioServerParameters(command=program, args=arguments, env=scripted.stage.environment)
    return Client(server, mode=mode, elicitation_callback=callback, cache=None)


def _push(scripted: Scripted, mode: str, callback: ElicitationFnT | None) -> str:
    async def push() -> str:
        async with _client(scripted, mode, callback) as client:
            result = await client.call_tool("push", {"branch": "main", "confirm": True})
            return getattr(result.content[0], "text", "")

    return asyncio.run(asyncio.wait_for(push(), 30))


def _answering(answer: ElicitResult | ErrorData, asked: list[str] | None = None) -> ElicitationFnT:
    async def callback(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        if asked is not None:
            asked.append(params.message)
        return answer

    return callback


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_what_a_person_accepts_goes_on_as_it_was_asked(tmp_path: Path, mode: str) -> None:
    scripted, asked = _scripted(tmp_path), list[str]()
    assert _push(scripted, mode, _answering(ElicitResult(action="accept", content={}), asked)) == "pushed"
    wording = (
        'At \'scripted\', allow tools/call \'push\'? With {"branch": "main", "confirm": true}. Asked because a push '
        f"leaves this machine (the rule 'pushes' in line 3 of {tmp_path / 'policy.yaml'})."
    )
    assert asked == [wording]
    (call,) = scripted.received("tools/call")
    assert call["params"].keys() - {"_meta"} == {"name", "arguments"}
    intent, outcome = (entry["event"] for entry in scripted.stage.requests())
    assert {name: intent[name] for name in ("consent", "decision", "rule", "phase")} == {
        "consent": "accept",
        "decision": "ask",
        "rule": "pushes",
        "phase": "intent",
    }
    assert outcome["status"] == "ok"


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize(
    ("answer", "consent"),
    [
        (ElicitResult(action="decline"), "decline"),
        (ElicitResult(action="cancel"), "cancel"),
    ],
)
def test_what_a_person_does_not_accept_is_refused_whatever_the_arguments_say(
    tmp_path: Path, mode: str, answer: ElicitResult, consent: str
) -> None:
    scripted = _scripted(tmp_path)
    refused = _push(scripted, mode, _answering(answer))
    assert refused.startswith("Denied by 'pushes': a person ")
    assert "a push leaves this machine" in refused
    _is_refused(scripted, consent)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_host_that_cannot_ask_is_refused(tmp_path: Path, mode: str) -> None:
    scripted = _scripted(tmp_path)
    assert "this host did not, or cannot, ask a person" in _push(scripted, mode, None)
    _is_refused(scripted, "failed")


def test_nobody_is_asked_about_more_than_anybody_could_read(tmp_path: Path) -> None:
    with _scripted(tmp_path).wrap() as host:
        host.request("initialize", FORMS)
        refused = host.call("push", {"branch": "b" * (1024 * 1024)})
    assert "this host did not, or cannot, ask a person" in text(refused)


def test_a_host_that_answers_with_an_error_is_refused(tmp_path: Path) -> None:
    scripted = _scripted(tmp_path)
    refusing = _answering(ErrorData(code=-32603, message="no"))
    assert "this host did not, or cannot, ask a person" in _push(scripted, "legacy", refusing)
    _is_refused(scripted, "failed")


@pytest.mark.usefixtures("either_way")
def test_nobody_answers_in_time_and_the_question_is_taken_back(tmp_path: Path) -> None:
    scripted = _scripted(tmp_path)
    with scripted.wrap() as host:
        host.request("initialize", FORMS)
        host.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "push"}})
        question = host.receive_message()
        meanwhile = text(host.call("get_a", {}))
        closed, refused = host.receive_message(), host.receive_message()
        host.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}})
        assert text(host.call("get_a", {})) == "pushed"
    assert question["method"] == "elicitation/create"
    assert question["params"]["requestedSchema"] == {"type": "object", "properties": {}}
    assert meanwhile == "pushed"
    assert (closed["method"], closed["params"]["requestId"]) == ("notifications/cancelled", question["id"])
    assert (refused["id"], text(refused).startswith("Denied by 'pushes': nobody answered the question in time")) == (
        1,
        True,
    )
    assert [call["params"]["name"] for call in scripted.received("tools/call")] == ["get_a", "get_a"]
    (violation,) = scripted.events("protocol_violation")
    assert violation["reason"] == "an answer that nobody waits for"


def test_a_question_that_is_never_answered_in_the_modern_era_is_recorded_as_refused(tmp_path: Path) -> None:
    scripted = _scripted(tmp_path)
    with scripted.wrap() as host:
        asked = modern(host, "tools/call", {"name": "push"})
        modern(host, "tools/call", {"name": "get_a"})
        while not any(entry["event"].get("consent") for entry in scripted.stage.requests()):
            modern(host, "tools/call", {"name": "get_a"})
        late = modern(host, "tools/call", {"name": "push", **_answered(asked, "accept")})
    assert "has been answered, has expired" in text(late)
    pushes = [entry["event"] for entry in scripted.stage.requests() if entry["event"]["tool"] == "push"]
    assert [(event["rule"], event.get("consent")) for event in pushes] == [
        ("pushes", "timeout"),
        ("protocol", "failed"),
    ]
    assert {call["params"]["name"] for call in scripted.received("tools/call")} == {"get_a"}


def test_a_cancelled_request_takes_its_question_back_and_never_reaches_the_server(tmp_path: Path) -> None:
    scripted = _scripted(tmp_path)
    with scripted.wrap() as host:
        host.request("initialize", FORMS)
        host.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "push"}})
        question = host.receive_message()
        host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        closed = host.receive_message()
        assert text(host.call("get_a", {})) == "pushed"
    assert (closed["method"], closed["params"]["requestId"]) == ("notifications/cancelled", question["id"])
    assert scripted.received("notifications/cancelled") == []
    assert [entry["event"].get("consent") for entry in scripted.stage.requests()] == ["withdrawn", None, None]


def test_a_question_is_put_before_it_is_taken_back(tmp_path: Path) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "push"}}
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    with _scripted(tmp_path).wrap() as host:
        host.request("initialize", FORMS)
        host.send(b"\n".join(json.dumps(line).encode() for line in (call, cancel)))
        question, closed = host.receive_message(), host.receive_message()
    assert (question["method"], closed["params"]["requestId"]) == ("elicitation/create", question["id"])


def test_a_request_that_comes_again_without_an_envelope_gets_none(tmp_path: Path) -> None:
    scripted = _scripted(tmp_path)
    with scripted.wrap() as host:
        asked = modern(host, "tools/call", {"name": "push"})
        host.request("tools/call", {"name": "push", **_answered(asked, "accept")})
    assert [call["params"] for call in scripted.received("tools/call")] == [{"name": "push"}]


@pytest.mark.parametrize(
    ("listed", "rule"),
    [
        ([{"name": "push", "annotations": {"readOnlyHint": False}}], "defaults.write"),
        ([{"name": "other"}], "unlisted-tool"),
    ],
)
def test_what_the_server_lists_when_the_answer_comes_is_what_counts(
    tmp_path: Path, listed: list[dict[str, Any]], rule: str
) -> None:
    policy = """\
version: 1
trust_annotations: true
rules: [{id: reads, match: {tool: push, access: read}, effect: ask}]
pins: "off"
"""
    scripted = _scripted(tmp_path, policy)
    scripted.says({"tools/list": {"result": {"tools": [{"name": "push", "annotations": {"readOnlyHint": True}}]}}})
    with scripted.wrap() as host:
        host.request("initialize", FORMS)
        host.request("tools/list")
        host.send_call(1, "push")
        question = host.receive_message()
        scripted.says({"tools/list": {"result": {"tools": listed}}})
        host.request("tools/list")
        host.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}})
        refused = host.answer_to(1)
    assert text(refused).startswith(f"Denied by {rule!r}: ")
    assert scripted.received("tools/call") == []


def test_only_who_is_asked_closes_a_question(tmp_path: Path) -> None:
    scripted = _scripted(tmp_path)
    with scripted.wrap() as host:
        host.request("initialize", FORMS)
        host.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "push"}})
        asked = host.receive_message()
        forged: list[dict[str, Any]] = [
            {"method": "notifications/cancelled", "params": {"requestId": asked["id"]}},
            {"method": "elicitation/create", "id": asked["id"], "params": {"message": "?"}},
            {"id": asked["id"], "result": {"action": "accept"}},
            {"id": 1, "result": {}},
        ]
        scripted.says({"tools/call": done("pushed"), "tools/call get_a": [*forged, done("a")]})
        host.send({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "get_a"}})
        other = host.receive_message()
        host.send({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "accept"}})
        pushed = host.receive_message()
    assert (other["id"], text(other), pushed["id"], text(pushed)) == (2, "a", 1, "pushed")
    assert [event["reason"] for event in scripted.events("protocol_violation")] == [
        "a cancellation of what somebody else has asked",
        "an answer that nobody waits for",
        "an answer that nobody waits for",
    ]


def test_a_late_answer_to_what_the_server_has_asked_is_no_answer_to_the_gateway(tmp_path: Path) -> None:
    guesses = [f"aegis-{number}" for number in range(4)]
    scripted = _scripted(tmp_path, POLICY + "defaults: {client_request: allow}\n")
    asks = [{"method": "elicitation/create", "id": guess, "params": {"message": "?"}} for guess in guesses]
    withdraws = [{"method": "notifications/cancelled", "params": {"requestId": guess}} for guess in guesses]
    scripted.says({"tools/call": done("pushed"), "tools/call get_a": [*asks, *withdraws, done("a")]})
    with scripted.wrap() as host:
        host.request("initialize", FORMS)
        host.call("get_a", {})
        host.send_call(1, "push")
        question = host.receive_message()
        for guess in guesses:
            host.send({"jsonrpc": "2.0", "id": guess, "result": {"action": "accept"}})
        host.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})
        refused = host.answer_to(1)
    assert "a person declined it" in text(refused)
    assert [call["params"]["name"] for call in scripted.received("tools/call")] == ["get_a"]


def test_a_server_is_not_asked_about_in_an_answer_whatever_era_it_claims(tmp_path: Path) -> None:
    asks = {"method": "tools/call", "id": 1, "params": {"name": "x", "_meta": ENVELOPE}}
    scripted = _scripted(tmp_path, POLICY + "defaults: {client_request: ask}\n")
    scripted.says({"tools/call": [asks, done("a")]})
    with scripted.wrap() as host:
        host.request("initialize", FORMS)
        host.send_call(1, "get_a")
        question, answer = host.receive_message(), host.receive_message()
    assert question["method"] == "elicitation/create"
    assert (answer["id"], text(answer)) == (1, "a")


def test_a_state_is_good_for_once_and_for_its_own_request(tmp_path: Path) -> None:
    scripted = _scripted(tmp_path)
    with scripted.wrap() as host:
        asked = modern(host, "tools/call", {"name": "push", "arguments": {"branch": "a"}})
        other = {"name": "push", "arguments": {"branch": "b"}, **_answered(asked, "accept")}
        swapped = modern(host, "tools/call", other)
        again = modern(host, "tools/call", {**other, "arguments": {"branch": "a"}})
        forged = {"requestState": "aegis-consent:" + "x" * 43, "inputResponses": {"aegis": {"action": "accept"}}}
        made_up = modern(host, "tools/call", {"name": "push", **forged})
    assert [text(answer).startswith("Denied by 'protocol'") for answer in (swapped, again, made_up)] == [True] * 3
    assert scripted.received("tools/call") == []
    events = [entry["event"] for entry in scripted.stage.requests()]
    assert [(event["rule"], event["consent"], event["arguments"]) for event in events] == [
        ("pushes", "failed", {"branch": "a"}),
        ("protocol", "failed", {"branch": "b"}),
        ("protocol", "failed", {"branch": "a"}),
        ("protocol", "failed", {}),
    ]


def test_a_question_about_what_the_server_asked_for_keeps_its_state_byte_for_byte(tmp_path: Path) -> None:
    wanted: dict[str, Any] = {
        "who": {"method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {}}}
    }
    state = 's\u2028 \u00e9 "{\\'
    needs = {"result": {"resultType": "input_required", "inputRequests": wanted, "requestState": state}}
    scripted = _scripted(tmp_path, POLICY + "defaults: {client_request: allow}\n", **{"tools/call": needs})
    accept = {"who": {"action": "accept", "content": {"name": "ada"}}}
    with scripted.wrap() as host:
        consent = modern(host, "tools/call", {"name": "push"})
        first = modern(host, "tools/call", {"name": "push", **_answered(consent, "accept")})
        scripted.says({"tools/call": done("pushed")})
        retry = {"name": "push", "inputResponses": accept, "requestState": first["result"]["requestState"]}
        consent = modern(host, "tools/call", retry)
        second = modern(host, "tools/call", {"name": "push", **_answered(consent, "accept")})
    assert first["result"] == needs["result"]
    assert text(second) == "pushed"
    params = [call["params"] for call in scripted.received("tools/call")]
    assert [{name: sent[name] for name in sent if name != "_meta"} for sent in params] == [
        {"name": "push"},
        {"name": "push", "inputResponses": accept, "requestState": state},
    ]
    assert [sent["_meta"] for sent in params] == [ENVELOPE] * 2


def _answered(asked: dict[str, Any], action: str) -> dict[str, Any]:
    assert asked["result"]["resultType"] == "input_required", asked
    (key,) = asked["result"]["inputRequests"]
    return {"inputResponses": {key: {"action": action}}, "requestState": asked["result"]["requestState"]}


def _is_refused(scripted: Scripted, consent: str) -> None:
    assert scripted.received("tools/call") == []
    (denied,) = (entry for entry in scripted.stage.requests() if entry["event"].get("tool") == "push")
    assert denied["event_type"] == "access_denied"
    event = denied["event"]
    assert (event["decision"], event["rule"], event["consent"]) == ("ask", "pushes", consent)
    (tool,) = json.loads(scripted.stage.audit("summarize", "--format", "json", str(scripted.stage.log)).stdout)["tools"]
    assert (tool["requests"], tool["denied"]) == (1, 1)
