"""The gate under whatever two peers may send: it never fails, and nothing unjudged or unrecorded passes."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_mcp.audit import redaction
from aegis_mcp.audit.journal import Journal
from aegis_mcp.audit.record import Recordkeeper, Status
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.audit.redaction import RedactionKey
from aegis_mcp.enforcement import Enforcement
from aegis_mcp.limits import Limiter
from aegis_mcp.pins.quarantine import Pins
from aegis_mcp.policy import loader
from aegis_mcp.settings import ArgumentMode

POLICY = loader.load(
    b"""
version: 1
defaults: {client_request: allow}
upstreams: {s: {access: {read: [r*], write: ["*"]}}}
rules:
  - {id: some, match: {tool: w, arguments: {n: {in: [1, 2]}}}, effect: allow}
  - {id: asked, match: {tool: a}, effect: ask}
limits: [{match: {tool: w}, rate: 1000/second}]
results: {max_bytes: 4KiB, secrets: redact}
audit: {durability: flush}
""",
    "p.yaml",
)
METHODS = st.sampled_from(
    [
        "tools/call",
        "tools/list",
        "ping",
        "resources/read",
        "prompts/get",
        "x/y",
        "notifications/cancelled",
        "roots/list",
        "initialize",
        "prompts/list",
        "tasks/cancel",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
IDS = st.integers(0, 3) | st.sampled_from(["0", "a", None]) | st.integers(2**60, 2**70) | st.text(max_size=3)
NAMED = {"name": st.sampled_from(["r", "w", "x", "a"]) | JSON, "uri": st.text(), "arguments": JSON}
FORMS: dict[str, Any] = {"elicitation": {}}
CAPABLE = st.just(FORMS) | JSON
VERSION, CAPABILITIES = (f"io.modelcontextprotocol/{name}" for name in ("protocolVersion", "clientCapabilities"))
META = JSON | st.fixed_dictionaries({VERSION: st.just("2026-07-28"), CAPABILITIES: CAPABLE})
STATES = {"requestState": st.just("aegis-consent:x") | JSON, "inputResponses": JSON, "taskId": JSON}
PARAMS = st.fixed_dictionaries(
    {}, optional=NAMED | STATES | {"requestId": IDS, "_meta": META, "capabilities": CAPABLE, "inputRequests": JSON}
)
CALLS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": METHODS | st.text()}, optional={"id": IDS, "params": PARAMS | JSON}
)
ANSWERS = st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": IDS}, optional={"result": JSON, "error": JSON})
TOOLS = st.just({"tools": [{"name": "r"}, {"name": "w", "annotations": {"readOnlyHint": True}}, 7, {}]})
RESULTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("inputRequests", "requestState", "task", "prompts", "instructions", "resources"), JSON),
)
ANY = st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": IDS, "result": RESULTS})
LISTS = st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": IDS, "result": TOOLS})


def _line(message: object) -> bytes:
    return json.dumps(message).encode()


LINES = st.lists((CALLS | ANSWERS | LISTS | ANY).map(_line) | st.binary(max_size=40), max_size=6)


class _Peers:
    """The two ends of the gate, and what each has got."""

    def __init__(self, directory: Path) -> None:
        keeper = Recordkeeper(policy_sha256=POLICY.sha256, redact=_redact, scrub=redaction.scrub)
        self.log = directory / "logs" / "audit.log"
        recorder = Recorder(Journal(self.log, keeper.session_id), POLICY.audit)
        pins = Pins.open(directory / "pins.json", "s", "[]", is_required=False)
        limiter = Limiter(directory / "limits")
        self.gate = Enforcement("s", POLICY, keeper, recorder, limiter=limiter, open_pins=lambda _: pins)
        self.host: list[bytes] = []
        self.upstream: list[bytes] = []
        self.gate.connect(to_host=self.host.append, to_upstream=self.upstream.append)

    def intents(self) -> list[dict[str, Any]]:
        lines = self.log.read_bytes().splitlines() if self.log.exists() else []
        events = [json.loads(line)["event"] for line in lines]
        return [event for event in events if event.get("phase") == "intent"]


def _redact(value: object) -> bytes:
    return redaction.encode(value, mode=ArgumentMode.REDACTED, key=RedactionKey(bytes(32)))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), LINES), max_size=8))
def test_whatever_two_peers_send_is_judged_recorded_and_answered_once(turns: list[tuple[bool, list[bytes]]]) -> None:
    async def play(peers: _Peers) -> None:
        for is_host, lines in turns:
            await (peers.gate.host_sent(lines) if is_host else peers.gate.upstream_sent(lines))
        await peers.gate.tend()
        await peers.gate.upstream_ended("was stopped", Status.CANCELLED)

    with tempfile.TemporaryDirectory() as directory:
        peers = _Peers(Path(directory))
        asyncio.run(play(peers))
        forwarded = [line for line in peers.upstream if json.loads(line).get("method") == "tools/call"]
        calls = [json.loads(line) for line in forwarded]
        # An upstream may ask for a method of the same name: that goes to the host.
        from_host = [event for event in peers.intents() if event["access"] != "client_request"]
        asked = [event for event in from_host if event["method"] == "tools/call"]
        assert len(asked) == len(calls)
        assert {*forwarded} <= {line for _, sent in turns for line in sent}
        assert all(call["params"]["name"].startswith("r") or call["params"]["name"] == "w" for call in calls)


def test_another_policy_decides_from_the_next_frame_on_and_is_named_in_the_log(tmp_path: Path) -> None:
    other = loader.load(b"version: 1\ndefaults: {write: allow}\naudit: {durability: flush}\n", "other.yaml")

    async def play(peers: _Peers) -> list[bool]:
        call = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "x"}}
        await peers.gate.host_sent([_line(call | {"id": 1})])
        adopted = [peers.gate.adopt(other), peers.gate.adopt(other)]
        await peers.gate.host_sent([_line(call | {"id": 2})])
        return adopted

    peers = _Peers(tmp_path)
    assert asyncio.run(play(peers)) == [True, False]
    assert [json.loads(line)["id"] for line in peers.upstream] == [2]
    assert [event["policy_sha256"] for event in peers.intents()] == [other.sha256]


def test_a_new_run_of_the_upstream_gets_what_the_host_asks_from_then_on(tmp_path: Path) -> None:
    again: list[bytes] = []

    async def play(peers: _Peers) -> None:
        ping = {"jsonrpc": "2.0", "method": "ping"}
        await peers.gate.upstream_ended("exited with status 3", Status.UPSTREAM_LOST)
        await peers.gate.host_sent([_line(ping | {"id": 1})])
        peers.gate.upstream_started(again.append)
        await peers.gate.host_sent([_line(ping | {"id": 2})])

    peers = _Peers(tmp_path)
    asyncio.run(play(peers))
    assert [json.loads(line)["error"]["message"] for line in peers.host] == [
        "Denied by 'protocol': the upstream 's' exited with status 3"
    ]
    assert (peers.upstream, [json.loads(line)["id"] for line in again]) == ([], [2])
