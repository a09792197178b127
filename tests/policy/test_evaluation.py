"""What policy decides: a table of requests, and the arguments that somebody might try."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp.decision import Access, AccessFrom, Decision, Effect, Request
from aegis_mcp.policy import loader
from aegis_mcp.policy.evaluation import decide
from aegis_mcp.policy.model import Policy

POLICY = loader.load(
    b"""
version: 1
upstreams:
  files: {access: {read: ["read_*", "list_*"], write: ["*"]}}
  hints: {trust_annotations: true}
rules:
  - {id: no-env, match: {tool: "read_*", arguments: {path: {glob: "*.env"}}}, effect: deny}
  - id: modes
    match: {tool: set_mode, arguments: {mode: {in: [1, "on", null]}, /deep/0/x: {equals: true}}}
    effect: allow
  - {id: uris, match: {uri: "file:///pub/*"}, effect: allow}
  - {id: no-files, match: {method: resources/read}, effect: deny, reason: ask me}
  - {id: quiet, match: {method: logging/*}, effect: deny}
  - {id: future, match: {method: future/thing}, effect: allow}
  - {id: roots, match: {method: roots/list, access: client_request}, effect: allow}
""",
    "p.yaml",
)


def _call(tool: str, server: str = "files", **arguments: Any) -> Request:
    return Request(server, "tools/call", tool=tool, arguments=arguments)


TABLE: list[tuple[Request, Effect, str, Access, AccessFrom]] = [
    (_call("read_file", path="/a"), Effect.ALLOW, "defaults.read", Access.READ, AccessFrom.POLICY),
    (_call("write_file"), Effect.DENY, "defaults.write", Access.WRITE, AccessFrom.POLICY),
    (_call("READ_file"), Effect.DENY, "defaults.write", Access.WRITE, AccessFrom.POLICY),
    (_call("read_file", server="other"), Effect.DENY, "defaults.write", Access.WRITE, AccessFrom.DEFAULT),
    (
        Request("hints", "tools/call", tool="t", read_only_hint=True),
        Effect.ALLOW,
        "defaults.read",
        Access.READ,
        AccessFrom.ANNOTATION,
    ),
    (
        Request("hints", "tools/call", tool="t", read_only_hint=False),
        Effect.DENY,
        "defaults.write",
        Access.WRITE,
        AccessFrom.ANNOTATION,
    ),
    (Request("hints", "tools/call", tool="t"), Effect.DENY, "defaults.write", Access.WRITE, AccessFrom.DEFAULT),
    (
        Request("files", "tools/call", tool="t", read_only_hint=True),
        Effect.DENY,
        "defaults.write",
        Access.WRITE,
        AccessFrom.POLICY,
    ),
    (
        Request("files", "tools/call", tool="read_x", is_listed=False),
        Effect.DENY,
        "unlisted-tool",
        Access.READ,
        AccessFrom.POLICY,
    ),
    (_call("read_file", path="/a/.env"), Effect.DENY, "no-env", Access.READ, AccessFrom.POLICY),
    (_call("read_file", path=["/a", "/b.env"]), Effect.DENY, "no-env", Access.READ, AccessFrom.POLICY),
    (_call("read_file", path={"x": 1}), Effect.DENY, "no-env", Access.READ, AccessFrom.POLICY),
    (_call("read_file", path=[]), Effect.ALLOW, "defaults.read", Access.READ, AccessFrom.POLICY),
    (_call("set_mode", mode=1, deep=[{"x": True}]), Effect.ALLOW, "modes", Access.WRITE, AccessFrom.POLICY),
    (_call("set_mode", mode=1.0, deep=[{"x": True}]), Effect.ALLOW, "modes", Access.WRITE, AccessFrom.POLICY),
    (_call("set_mode", mode=None, deep=[{"x": True}]), Effect.ALLOW, "modes", Access.WRITE, AccessFrom.POLICY),
    (_call("set_mode", mode=True, deep=[{"x": True}]), Effect.DENY, "defaults.write", Access.WRITE, AccessFrom.POLICY),
    (_call("set_mode", mode=1, deep=[{"x": 1}]), Effect.DENY, "defaults.write", Access.WRITE, AccessFrom.POLICY),
    (_call("set_mode", mode=1), Effect.DENY, "defaults.write", Access.WRITE, AccessFrom.POLICY),
    (Request("s", "resources/read", uri="file:///pub/a"), Effect.ALLOW, "uris", Access.READ, AccessFrom.DEFAULT),
    (Request("s", "resources/read", uri="file:///etc/a"), Effect.DENY, "no-files", Access.READ, AccessFrom.DEFAULT),
    (Request("s", "prompts/get", prompt="p"), Effect.ALLOW, "defaults.read", Access.READ, AccessFrom.DEFAULT),
    (Request("s", "tools/list"), Effect.ALLOW, "housekeeping", Access.READ, AccessFrom.DEFAULT),
    (Request("s", "logging/setLevel"), Effect.DENY, "quiet", Access.READ, AccessFrom.DEFAULT),
    (Request("s", "future/thing"), Effect.ALLOW, "future", Access.WRITE, AccessFrom.DEFAULT),
    (Request("s", "future/other"), Effect.DENY, "defaults.write", Access.WRITE, AccessFrom.DEFAULT),
    (Request("s", "sampling/createMessage"), Effect.DENY, "defaults.write", Access.WRITE, AccessFrom.DEFAULT),
    (
        Request("s", "sampling/createMessage", is_from_upstream=True),
        Effect.DENY,
        "defaults.client_request",
        Access.CLIENT_REQUEST,
        AccessFrom.DEFAULT,
    ),
    (
        Request("s", "roots/list", is_from_upstream=True),
        Effect.ALLOW,
        "roots",
        Access.CLIENT_REQUEST,
        AccessFrom.DEFAULT,
    ),
    (
        Request("s", "tools/list", is_from_upstream=True),
        Effect.DENY,
        "defaults.client_request",
        Access.CLIENT_REQUEST,
        AccessFrom.DEFAULT,
    ),
    (Request("s", "ping", is_from_upstream=True), Effect.ALLOW, "housekeeping", Access.READ, AccessFrom.DEFAULT),
]


@pytest.mark.parametrize(("request_", "effect", "rule", "access", "access_from"), TABLE, ids=range(len(TABLE)))
def test_the_table_of_decisions(
    request_: Request, effect: Effect, rule: str, access: Access, access_from: AccessFrom
) -> None:
    decision = decide(POLICY, request_)
    assert (decision.effect, decision.rule, decision.access, decision.access_from) == (
        effect,
        rule,
        access,
        access_from,
    )
    assert decision.is_recorded == (rule != "housekeeping")


def test_a_refusal_says_which_rule_would_help_and_where() -> None:
    decision = decide(POLICY, _call("write_file", path="/secret"))
    assert '"tool": "write_file"' in decision.reason
    assert '"server": "files"' in decision.reason
    assert "p.yaml" in decision.reason
    assert "/secret" not in decision.reason
    assert decide(POLICY, Request("s", "resources/read", uri="x")).reason.startswith("ask me (the rule ")


def _within(directory: Path) -> Policy:
    rule = f"{{id: in, match: {{arguments: {{path: {{within: {directory}}}}}}}, effect: allow}}"
    return loader.load(f"version: 1\nrules: [{rule}]".encode(), "p.yaml")


def _decide_path(policy: Policy, path: object) -> Decision:
    return decide(policy, _call("write_file", path=path))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """`in` is allowed; `out` and `inside` (whose name only begins alike) are not; links lead out, in and in circles."""
    for name in ("in/sub", "out", "inside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "in" / "a.txt").touch()
    (tmp_path / "out" / "b.txt").touch()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "out" / "b.txt")
    (tmp_path / "in" / "dangling").symlink_to(tmp_path / "out" / "new.txt")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in" / "loop")
    (tmp_path / "out" / "back").symlink_to(tmp_path / "in")
    return tmp_path


@pytest.mark.parametrize(
    "path", ["in/a.txt", "in/new.txt", "in", "in/sub/deep/new.txt", "out/back/a.txt", "in/./sub/../a.txt"]
)
def test_within_holds_for_what_is_inside(tree: Path, path: str) -> None:
    assert _decide_path(_within(tree / "in"), f"{tree}/{path}").rule == "in"


@pytest.mark.parametrize(
    "path",
    [
        "in/../out/b.txt",
        "in/sub/../../out/b.txt",
        "in/link/b.txt",
        "in/link/new.txt",
        "in/file",
        "in/dangling",
        "in/loop",
        "in/loop/x",
        "inside/x",
        "out/b.txt",
        "in/link/../x",
        "in/a.txt\0",
        " in/a.txt",
        "in/" + "x" * 5000,
    ],
)
def test_within_does_not_hold_for_what_leads_out(tree: Path, path: str) -> None:
    assert _decide_path(_within(tree / "in"), f"{tree}/{path}").rule == "defaults.write"


@pytest.mark.parametrize("path", ["in/a.txt", "", ".", "~/x", 7, None, {}, ["/x", 7], [[]]])
def test_within_does_not_hold_for_what_is_no_absolute_path(tree: Path, path: object) -> None:
    assert _decide_path(_within(tree / "in"), path).rule == "defaults.write"


def test_within_holds_for_a_list_only_if_each_item_is_inside(tree: Path) -> None:
    policy = _within(tree / "in")
    inside, outside = f"{tree}/in/a.txt", f"{tree}/out/b.txt"
    assert _decide_path(policy, [inside, inside]).rule == "in"
    assert _decide_path(policy, [inside, outside]).rule == "defaults.write"


def test_a_missing_argument_never_holds(tree: Path) -> None:
    assert decide(_within(tree / "in"), _call("write_file", Path="/x")).rule == "defaults.write"


def test_within_follows_the_file_system_as_it_is_now(tree: Path) -> None:
    policy = _within(tree / "in")
    target = f"{tree}/in/late"
    assert _decide_path(policy, target).rule == "in"
    Path(target).symlink_to(tree / "out")
    assert _decide_path(policy, target).rule == "defaults.write"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text(), st.text(), st.none() | st.text(), st.dictionaries(st.sampled_from(["path", "mode", "deep"]), JSON))
def test_deciding_is_total(server: str, method: str, tool: str | None, arguments: Mapping[str, Any]) -> None:
    for is_from_upstream in (False, True):
        request = Request(server, method, tool=tool, arguments=arguments, is_from_upstream=is_from_upstream)
        assert isinstance(decide(POLICY, request), Decision)
        assert isinstance(decide(_TOTAL, request), Decision)


_TOTAL = _within(Path.cwd())
