"""The gate under whatever two peers may send: it never fails, and nothing unjudged or unrecorded passes."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aegis_mcp.audit import redaction
from aegis_mcp.audit.record import Recordkeeper, Status
from aegis_mcp.audit.recorder import Recorder
from aegis_mcp.audit.redaction import RedactionKey
from aegis_mcp.audit.turn import LogLocked
from aegis_mcp.enforcement import Enforcement
from aegis_mcp.limits import Limiter
from aegis_mcp.pins.quarantine import Pins
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import Policy
from support.journals import append, journal
from support.traffic import Traffic

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
STRICT = loader.load(
    b"""
version: 1
defaults: {client_request: ask, read: ask, write: ask}
upstreams: {s: {access: {read: [r*], write: ["*"]}, trust_annotations: true}}
rules:
  - {id: seen, match: {tool: w, arguments: {/n: {in: [1, 2]}}}, effect: monitor}
  - {id: like, match: {tool: x, arguments: {k: {regex: "a+b"}}}, effect: allow}
  - {id: here, match: {tool: a, arguments: {uri: {within: /tmp}}}, effect: allow, secrets: refuse}
  - {id: file, match: {uri: "file:///x"}, effect: allow}
results: {secrets: refuse}
audit: {durability: flush, arguments: hashed}
pins: require
""",
    "strict.yaml",
)
LENIENT = loader.load(
    b"""
version: 1
defaults: {client_request: allow, read: allow, write: allow}
upstreams: {s: {access: {read: [r*], write: ["*"]}}}
rules:
  - {id: model, match: {method: sampling/createMessage}, effect: monitor}
  - {id: roots, match: {method: "roots/*"}, effect: ask}
results: {secrets: redact}
audit: {durability: flush, arguments: full}
""",
    "lenient.yaml",
)


def _line(message: object) -> bytes:
    return json.dumps(message).encode()


class _Peers:
    """The two ends of the gate, and what each has got."""

    def __init__(self, directory: Path, policy: Policy = POLICY) -> None:
        redact = partial(redaction.encode, mode=policy.audit.arguments, key=RedactionKey(bytes(32)))
        keeper = Recordkeeper(policy_sha256=policy.sha256, redact=redact, scrub=redaction.scrub)
        self.log = directory / "logs" / "audit.log"
        recorder = Recorder(journal(directory), policy.audit)
        pins = Pins.open(directory / "pins.json", "s", "[]", is_required=False)
        limiter = Limiter(directory / "limits")
        self.gate = Enforcement("s", policy, keeper, recorder, limiter=limiter, open_pins=lambda _: pins)
        self.host: list[bytes] = []
        self.upstream: list[bytes] = []
        self.gate.connect(to_host=self.host.append, to_upstream=self.upstream.append)

    def intents(self) -> list[dict[str, Any]]:
        lines = self.log.read_bytes().splitlines() if self.log.exists() else []
        events = [json.loads(line)["event"] for line in lines]
        return [event for event in events if event.get("phase") == "intent"]


@pytest.mark.parametrize("policy", [POLICY, STRICT, LENIENT])
@pytest.mark.parametrize("seed", range(40))
def test_whatever_two_peers_send_is_judged_recorded_and_answered(tmp_path: Path, seed: int, policy: Policy) -> None:
    turns = Traffic(seed).turns()

    async def play(peers: _Peers) -> None:
        for is_host, lines in turns:
            await (peers.gate.host_sent(lines) if is_host else peers.gate.upstream_sent(lines))
        await peers.gate.tend()
        await peers.gate.upstream_ended("was stopped", Status.CANCELLED)

    peers = _Peers(tmp_path, policy)
    asyncio.run(play(peers))
    assert all(isinstance(json.loads(line), dict) for line in (*peers.host, *peers.upstream))
    calls = [line for line in peers.upstream if json.loads(line).get("method") == "tools/call"]
    # An upstream may ask for a method of the same name: that goes to the host.
    from_host = [event for event in peers.intents() if event["access"] != "client_request"]
    asked = [event for event in from_host if event["method"] == "tools/call"]
    assert [event["tool"] for event in asked] == [json.loads(call)["params"]["name"] for call in calls]
    sent = {line.removesuffix(b"\r") for is_host, lines in turns for line in lines if is_host}
    assert {*calls} <= sent
    if policy is POLICY:
        assert {event["tool"] for event in asked if event.get("consent") != "accept"} <= {"r", "w"}


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


@pytest.mark.parametrize(("size", "is_free"), [(100, False), (100_000, True)])
def test_the_log_is_not_locked_while_a_large_frame_is_judged(tmp_path: Path, size: int, is_free: bool) -> None:
    async def play(peers: _Peers) -> bool:
        await peers.gate.host_sent(
            [_line({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "r"}})]
        )
        await peers.gate.host_sent(
            [_line({"jsonrpc": "2.0", "method": "notifications/x", "params": {"x": "x" * size}})]
        )
        other = journal(tmp_path)
        try:
            append(other, 1, patience=0)
        except LogLocked:
            return False
        return True

    assert asyncio.run(play(_Peers(tmp_path))) is is_free


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
