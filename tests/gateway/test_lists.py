"""What a host is offered is what it may use: nothing that would be refused anyway is in a list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from support.scripted import Scripted, done, modern, text

POLICY: Final = """\
version: 1
upstreams: {scripted: {access: {read: ["get_*"], write: ["*"]}}}
rules:
  - {id: own, match: {uri: "file:///own/*"}, effect: allow}
  - {id: not-there, match: {method: resources/read}, effect: deny}
  - {id: no-jokes, match: {prompt: joke}, effect: deny}
  - {id: in-notes, match: {tool: put, arguments: {path: {glob: "notes/*"}}}, effect: allow}
pins: "off"
"""


def _tools(*names: str, **more: Any) -> dict[str, Any]:
    return {"result": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names], **more}}


@pytest.mark.usefixtures("either_way")
def test_a_tool_that_no_argument_could_let_through_is_left_out_and_refused_when_called(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/list": _tools("get_a", "put", "drop"), "tools/call": done()})
    with scripted.wrap() as host:
        host.initialize()
        listed = host.request("tools/list")
        called = host.call("drop", {})
    assert [tool["name"] for tool in listed["result"]["tools"]] == ["get_a", "put"]
    assert "defaults.write" in text(called)
    assert scripted.received("tools/call") == []


def test_pages_keep_their_cursor_even_if_nothing_is_left_on_one(tmp_path: Path) -> None:
    pages = {"tools/list": _tools("drop", nextCursor="2"), "tools/list 2": _tools("get_a", nextCursor="3")}
    scripted = Scripted(tmp_path, POLICY, **pages, **{"tools/list 3": _tools("drop_too")})
    with scripted.wrap() as host:
        host.initialize()
        results = [host.request("tools/list", {"cursor": at} if at else {})["result"] for at in ("", "2", "3")]
    named = [{**result, "tools": [tool["name"] for tool in result["tools"]]} for result in results]
    assert named == [{"tools": [], "nextCursor": "2"}, {"tools": ["get_a"], "nextCursor": "3"}, {"tools": []}]


def test_a_list_that_ends_with_a_cursor_of_null_is_complete(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/list": _tools("get_a", nextCursor=None), "tools/call": done()})
    with scripted.wrap() as host:
        host.initialize()
        host.request("tools/list", {"cursor": None})
        assert text(host.call("get_b", {})).startswith("Denied by 'unlisted-tool'")
        assert text(host.call("get_a", {})) == "done"


@pytest.mark.parametrize("news", [[], [{"method": "notifications/tools/list_changed"}]])
def test_the_last_page_alone_is_no_complete_list(tmp_path: Path, news: list[dict[str, Any]]) -> None:
    pages = {
        "tools/list": [_tools("get_a", nextCursor="2"), *news],
        "tools/list 2": _tools("get_b"),
        "tools/call": done(),
    }
    scripted = Scripted(tmp_path, POLICY, **pages)
    with scripted.wrap() as host:
        host.initialize()
        if news:
            host.request("tools/list")
            host.receive()
        host.request("tools/list", {"cursor": "2"})
        assert text(host.call("get_c", {})) == "done"


def test_a_list_of_which_something_was_left_out_is_for_this_host_alone(tmp_path: Path) -> None:
    hints = {"resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"}
    scripted = Scripted(tmp_path, POLICY, **{"tools/list": _tools("get_a", "drop", **hints)})
    with scripted.wrap() as host:
        result = modern(host, "tools/list", {})["result"]
    assert {name: result[name] for name in hints} == {**hints, "cacheScope": "private"}


def test_a_list_of_which_nothing_was_left_out_passes_byte_for_byte(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/list": _tools("get_a", ttlMs=1, cacheScope="public", x=1e2)})
    with scripted.wrap() as host:
        host.initialize()
        answer = host.request("tools/list")
    assert host.lines[-1] == json.dumps({"jsonrpc": "2.0", "id": answer["id"], "result": answer["result"]}).encode()


def test_prompts_resources_and_templates_are_left_out_as_policy_denies_them(tmp_path: Path) -> None:
    script = {
        "prompts/list": {"result": {"prompts": [{"name": "joke"}, {"name": "sum"}]}},
        "resources/list": {"result": {"resources": [{"uri": "file:///own/a"}, {"uri": "file:///etc/b"}]}},
        "resources/templates/list": {"result": {"resourceTemplates": [{"uriTemplate": "file:///{path}"}]}},
    }
    scripted = Scripted(tmp_path, POLICY, **script)
    with scripted.wrap() as host:
        host.initialize()
        results = [host.request(method)["result"] for method in script]
        refused = host.request("prompts/get", {"name": "joke"})
    assert results == [
        {"prompts": [{"name": "sum"}]},
        {"resources": [{"uri": "file:///own/a"}]},
        {"resourceTemplates": [{"uriTemplate": "file:///{path}"}]},
    ]
    assert refused["error"]["code"] == -32010
    assert [entry["event"]["prompt"] for entry in scripted.stage.requests()] == ["joke"]


def test_templates_are_left_out_where_no_resource_may_be_read(tmp_path: Path) -> None:
    template = {"result": {"resourceTemplates": [{"uriTemplate": "file:///{path}"}]}}
    scripted = Scripted(tmp_path, "version: 1\ndefaults: {read: deny}\n", **{"resources/templates/list": template})
    with scripted.wrap() as host:
        host.initialize()
        assert host.request("resources/templates/list")["result"] == {"resourceTemplates": []}
