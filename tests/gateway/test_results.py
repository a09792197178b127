"""What of an answer reaches the host: size and credentials, as policy and rule say."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import pytest

from support.scripted import Scripted, done, text

TOKEN: Final = "ghp_" + "a1B2" * 9
POLICY: Final = """\
version: 1
upstreams: {scripted: {access: {read: ["*"]}}}
rules:
  - {id: bare, match: {tool: "bare_*"}, effect: allow, secrets: redact}
  - {id: open, match: {tool: "open_*"}, effect: allow, secrets: pass}
results: {max_bytes: 4KiB, secrets: refuse}
pins: "off"
"""


def _asked(scripted: Scripted, tool: str) -> dict[str, Any]:
    with scripted.wrap() as host:
        host.initialize()
        return host.call(tool, {})


@pytest.mark.usefixtures("either_way")
def test_an_answer_that_is_too_large_becomes_an_error_and_the_log_keeps_its_hash(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": done("x" * 5000)})
    with scripted.wrap() as host:
        host.initialize()
        answer = host.call("get", {})
        prompt = host.request("prompts/get", {"name": "unknown"})
    assert answer["result"]["isError"] is True
    assert text(answer).startswith("The answer was held back: the answer has 50")
    assert "`results.max_bytes` is 4096" in text(answer)
    assert prompt["error"]["code"] == -32601
    (event,) = scripted.events("result_refused")
    intent, outcome = scripted.stage.requests()[:2]
    sent = host.lines[1]
    assert (event["tool"], event["bytes"] > 5000, len(event["sha256"])) == ("get", True, 64)
    assert outcome["event"]["status"] == "refused"
    assert outcome["event"]["result_sha256"] == hashlib.sha256(sent).hexdigest()
    assert intent["trace_id"] == outcome["trace_id"]


@pytest.mark.parametrize(
    "result",
    [
        {"content": [{"type": "text", "text": f"the token is {TOKEN}"}]},
        {"content": [], "structuredContent": {"items": [{"api_key": "hunter22"}]}},
        {"content": [], "structuredContent": {"type": "image", "data": {"uri": f"https://example.org/?key={TOKEN}"}}},
        {"content": [], "structuredContent": {"env": [{"name": "DB_PASSWORD", "value": "hunter22"}]}},
        {"content": [{"type": "resource", "resource": {"uri": "x:y", "text": "password=hunter22"}}]},
    ],
)
def test_an_answer_with_a_credential_does_not_reach_a_host_that_is_to_see_none(
    tmp_path: Path, result: dict[str, Any]
) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": {"result": result}})
    assert "what looks like a credential" in text(_asked(scripted, "get"))
    (event,) = scripted.events("result_refused")
    assert event["reason"].startswith("the answer holds what looks like a credential")


@pytest.mark.usefixtures("either_way")
def test_a_rule_may_have_credentials_replaced_and_the_log_counts_them(tmp_path: Path) -> None:
    result = {
        "content": [
            {"type": "text", "text": f"{TOKEN} and Bearer abcdefgh"},
            {"type": "image", "mimeType": "image/png", "data": TOKEN},
        ],
        "structuredContent": {"password": "hunter22", "count": 3, "empty": "", TOKEN: "who"},
        "_meta": {"token": "kept"},
        "unheard-of": {"type": [TOKEN]},
    }
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": {"result": result}})
    answer = _asked(scripted, "bare_get")
    assert answer["result"] == {
        "content": [
            {"type": "text", "text": "[redacted] and Bearer [redacted]"},
            {"type": "image", "mimeType": "image/png", "data": TOKEN},
        ],
        "structuredContent": {"password": "[redacted]", "count": 3, "empty": "", "[redacted]": "who"},
        "_meta": {"token": "kept"},
        "unheard-of": {"type": ["[redacted]"]},
    }
    outcome = scripted.stage.requests()[1]["event"]
    assert (outcome["status"], outcome["redacted"]) == ("ok", 5)


def test_a_credential_in_an_error_counts_too(tmp_path: Path) -> None:
    error = {"error": {"code": -32603, "message": f"no access with {TOKEN}"}}
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": error})
    assert _asked(scripted, "bare_get")["error"] == {"code": -32603, "message": "no access with [redacted]"}


def test_where_a_rule_lets_credentials_pass_the_answer_stays_as_it_came(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": done(TOKEN)})
    assert text(_asked(scripted, "open_get")) == TOKEN
    assert "redacted" not in scripted.stage.requests()[1]["event"]


def test_lists_are_not_measured(tmp_path: Path) -> None:
    tools = [{"name": f"get_{number}", "description": "x" * 100} for number in range(100)]
    scripted = Scripted(tmp_path, POLICY, **{"tools/list": {"result": {"tools": tools}}})
    with scripted.wrap() as host:
        host.initialize()
        assert host.request("tools/list")["result"]["tools"] == tools
