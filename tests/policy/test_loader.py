"""A policy file is understood or refused, with every mistake at its line and column."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp.decision import Effect
from aegis_mcp.errors import ConfigError, PolicyError
from aegis_mcp.policy import loader
from aegis_mcp.settings import ArgumentMode, AuditSettings, Durability, OnFailure
from support.host import environment
from support.house import ROOT
from support.loaded import run_text

RULE = "version: 1\nrules:\n- "

MISTAKES: dict[str, list[tuple[int, int, str]]] = {
    "": [(1, 1, "empty")],
    "[]": [(1, 1, "mapping"), (1, 1, "`version: 1` is missing")],
    "rules: []": [(1, 1, "`version: 1` is missing")],
    "version: 2": [(1, 10, "must be 1")],
    "version: '1'": [(1, 10, "must be 1")],
    "version: 1\nversion: 1": [(2, 1, "twice")],
    "version: 1\nrulez: []": [(2, 1, "did you mean `rules`")],
    "version: 1\nlimits: {}": [(2, 9, "list")],
    "version: 1\nlimits: [{}]": [(2, 10, "no `match`"), (2, 10, "no `rate`")],
    "version: 1\nlimits: [{match: {tool: x}, rate: 30}]": [(2, 35, "quotes"), (2, 35, "no rate")],
    "version: 1\nlimits: [{match: {tool: x}, rate: 30/fortnight}]": [(2, 35, "as in 30/minute")],
    "version: 1\nlimits: [{match: {tool: x}, rate: 0/minute}]": [(2, 35, "no rate")],
    "version: 1\nresults: {max_bytes: 4GB}": [(2, 22, "as in 4MiB")],
    "version: 1\nresults: {max_bytes: 0}": [(2, 22, "more than 0")],
    "version: 1\nresults: {secrets: hide}": [(2, 20, "one of pass, redact, refuse")],
    "version: 1\npins: always": [(2, 7, "one of first_use, require, off")],
    "version: 1\nask: {timeout: 4000}": [(2, 16, "at most 3600")],
    "version: 1\na: &x 1": [(2, 4, "anchors")],
    "version: !!int 1": [(1, 10, "tags")],
    "version: 1\nx: !evil 1": [(2, 4, "tags")],
    "version: 1\nrules: [": [(2, 9, "")],
    "version: 1\n\tx: 1": [(2, 1, "")],
    "version: 1\nrules: {}": [(2, 8, "list")],
    "version: 1\ntrust_annotations: 1": [(2, 20, "true or false")],
    "version: 1\ndefaults: {read: maybe}": [(2, 18, "one of allow, deny, ask, monitor")],
    "version: 1\ndefaults: {reads: allow}": [(2, 12, "did you mean `read`")],
    "version: 1\ndefaults: {read: yes}": [(2, 18, "one of allow, deny, ask, monitor")],
    "version: 1\naudit: {deadline: 0}": [(2, 19, "seconds")],
    "version: 1\naudit: {deadline: true}": [(2, 19, "seconds")],
    "version: 1\naudit: {deadline: .inf}": [(2, 19, "seconds")],
    "version: 1\naudit: {durability: fsync}": [(2, 21, "one of sync_writes, sync, flush")],
    "version: 1\nupstreams: {Files: {}}": [(2, 13, "no name of an upstream")],
    "version: 1\nupstreams: {a: {command: npx}}": [(2, 26, "must be a list")],
    "version: 1\nupstreams: {a: {command: []}}": [(2, 26, "must be a list")],
    "version: 1\nupstreams: {a: {command: [x, 1]}}": [(2, 30, "quotes")],
    "version: 1\nupstreams: {a: {access: {admin: x}}}": [(2, 26, "read or write")],
    "version: 1\nupstreams: {a: {env: {'A B': x}}}": [(2, 23, "environment variable")],
    "version: 1\nupstreams: {a: {env: {A: '${HOME}'}}}": [(2, 26, "${env:NAME}")],
    RULE + "{}": [(3, 3, "no `id`"), (3, 3, "no `match`"), (3, 3, "no `effect`")],
    RULE + "{id: a b, match: {tool: x}, effect: allow}": [(3, 8, "no id of a rule")],
    RULE + "{id: defaults.read, match: {tool: x}, effect: allow}": [(3, 8, "none of Aegis's own")],
    RULE + "{id: a, match: {}, effect: allow}": [(3, 18, "the match is empty")],
    RULE + "{id: a, match: {tool: yes}, effect: allow}": [(3, 25, "quotes")],
    RULE + "{id: a, match: {tool: []}, effect: allow}": [(3, 25, "empty")],
    RULE + "{id: a, match: {tool: x}, effect: asks}": [(3, 37, "one of allow, deny, ask, monitor")],
    RULE + "{id: limits.1, match: {tool: x}, effect: ask}": [(3, 8, "none of Aegis's own")],
    RULE + "{id: a, match: {tool: x}, effect: allow, secrets: none}": [(3, 53, "one of pass, redact, refuse")],
    RULE + "{id: a, match: {arguments: {p: x}}, effect: allow}": [(3, 34, "say how")],
    RULE + "{id: a, match: {arguments: {p: {regex: '('}}}, effect: allow}": [(3, 42, "no regular expression")],
    RULE + "{id: a, match: {arguments: {p: {regex: '(?=x)'}}}, effect: allow}": [(3, 42, "that RE2 knows")],
    RULE + "{id: a, match: {arguments: {p: {host: 'https://x'}}}, effect: allow}": [(3, 41, "without scheme")],
    RULE + "{id: a, match: {arguments: {p: {host: A.example}}}, effect: allow}": [(3, 41, "lower case")],
    RULE + "{id: a, match: {arguments: {p: {max_length: -1}}}, effect: allow}": [(3, 47, "0 or more")],
    RULE + "{id: a, match: {arguments: {p: {range: {}}}}, effect: allow}": [(3, 42, "a min, a max or both")],
    RULE + "{id: a, match: {arguments: {p: {range: {min: 2, max: 1}}}}, effect: allow}": [(3, 42, "before it begins")],
    RULE + "{id: a, match: {arguments: {p: {absent: false}}}, effect: allow}": [(3, 43, "must be true")],
    RULE + "{id: a, match: {arguments: {p: {absent: true, equals: 1}}}, effect: allow}": [(3, 34, "cannot be absent")],
    RULE + "{id: a, match: {arguments: {p: {within: work}}}, effect: allow}": [(3, 43, "not absolute")],
    RULE + "{id: a, match: {arguments: {/a~2: {equals: 1}}}, effect: allow}": [(3, 31, "JSON pointer")],
    RULE + "{id: a, match: {tool: '*'}, effect: deny}\n- {id: b, match: {tool: x}, effect: allow}": [
        (4, 3, "'b' can never apply: 'a' in line 3")
    ],
    RULE + "{id: a, match: {tool: x}, effect: deny}\n- {id: a, match: {tool: y}, effect: allow}": [
        (4, 3, "that of the rule in line 3")
    ],
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_every_mistake_is_named_at_its_place(text: str, expected: list[tuple[int, int, str]]) -> None:
    with pytest.raises(PolicyError) as caught:
        loader.load(text.encode(), "p.yaml")
    found = caught.value.mistakes
    assert [(mistake.line, mistake.column) for mistake in found] == [(line, column) for line, column, _ in expected]
    assert all(part in mistake.message for mistake, (_, _, part) in zip(found, expected, strict=True))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_make_the_loader_fail_in_another_way(text: bytes) -> None:
    with pytest.raises(PolicyError):
        loader.load(text, "p.yaml")


@pytest.mark.parametrize(
    "text", [b"\xff", b"{" * 5000, b"[" * 100_000, b"x" * 300_000, b"a: 2026-99-99", b"a: 1__0", b"\0"]
)
def test_hostile_files_are_refused(text: bytes) -> None:
    with pytest.raises(PolicyError):
        loader.load(text, "p.yaml")


def test_what_cannot_be_read_is_refused_with_a_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "absent", "."):
        with pytest.raises(ConfigError):
            loader.read(tmp_path / name)


def test_a_whole_policy_is_understood(tmp_path: Path) -> None:
    policy = loader.load(
        f"""
version: 1
defaults: {{read: deny, write: allow, client_request: allow}}
trust_annotations: true
upstreams:
  a: {{command: [npx, -y, x], env: {{T: "${{env:T}}"}}, trust_annotations: false}}
  b: {{access: {{write: [w*], read: "*"}}}}
rules:
  - id: r
    match:
      server: a
      tool: ["x", "y*"]
      access: [write]
      arguments: {{path: {{within: {tmp_path}}}, /a/0: {{equals: 1, in: [1, null]}}}}
    effect: allow
    reason: because
audit: {{arguments: none, on_failure: deny_writes, durability: sync, deadline: 0.5}}
""".encode(),
        "p.yaml",
    )
    assert policy.audit == AuditSettings(ArgumentMode.NONE, OnFailure.DENY_WRITES, Durability.SYNC, 0.5)
    assert policy.defaults.read is Effect.DENY
    assert policy.upstreams["a"].command == ("npx", "-y", "x")
    assert (policy.upstreams["a"].trust_annotations, policy.upstreams["b"].trust_annotations) == (False, True)
    assert [one.access.value for one in policy.upstreams["b"].access] == ["write", "read"]
    assert [argument.pointer for argument in policy.rules[0].match.arguments] == [("path",), ("a", "0")]


def test_the_shipped_policy_allows_reads_and_denies_the_rest() -> None:
    policy = loader.shipped()
    defaults = policy.defaults
    assert (defaults.read, defaults.write, defaults.client_request) == (Effect.ALLOW, Effect.DENY, Effect.DENY)
    assert not policy.trust_annotations
    assert policy.rules == ()
    assert loader.read(ROOT / "policy.yaml").sha256 == policy.sha256


def test_the_examples_in_the_shipped_policy_are_accepted_once_uncommented() -> None:
    text = (ROOT / "policy.yaml").read_text(encoding="utf-8")
    examples = text.partition("rules: []\n")[2].partition("\n\n")[0].replace("# ", "  ")
    rules = loader.load(f"version: 1\nrules:\n{examples}".encode(), "p.yaml").rules
    assert [rule.id for rule in rules] == ["notes-may-be-written", "no-secrets", "ask-before-moving"]


def _check(tmp_path: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    command = ("policy", "check", "--policy", str(tmp_path / "p.yaml"), *options)
    return run_text("aegis_mcp", command, environment(tmp_path), seconds=60)


def test_the_command_names_every_mistake_and_exits_2(tmp_path: Path) -> None:
    checked = _check(tmp_path, "version: 2\nrulez: []\n")
    assert checked.returncode == 2
    assert [line.partition(": ")[0] for line in checked.stdout.splitlines()] == [
        f"{tmp_path}/p.yaml:1:10",
        f"{tmp_path}/p.yaml:2:1",
    ]


def test_the_command_says_ok_and_exits_0(tmp_path: Path) -> None:
    checked = _check(tmp_path, "version: 1\n", "--format", "json")
    assert checked.returncode == 0
    assert '"ok": true' in checked.stdout
