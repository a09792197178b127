"""`aegis-mcp policy explain` says what the gate would decide, and how it comes to that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp.decision import Effect, Request
from aegis_mcp.policy import loader
from aegis_mcp.policy.evaluation import decide
from aegis_mcp.policy.explanation import Part, Turn, describe, explain
from support.commands import Done, run

POLICY = b"""\
version: 1
defaults: {write: ask}
upstreams:
  files: {access: {read: ["read_*"], write: ["move_*"]}}
  hints: {trust_annotations: true}
rules:
  - {id: no-keys, match: {tool: "read_*", arguments: {path: {glob: ["*.pem", "*/.env"]}}}, effect: deny}
  - id: notes
    match: {server: files, tool: write_file, arguments: {path: {within: ["/srv/notes"], max_length: 30}}}
    effect: allow
  - {id: pushes, match: {tool: "push_*", arguments: {/refs/0: {equals: main}}}, effect: ask}
  - {id: moves, match: {access: write, tool: move_file}, effect: monitor}
  - {id: uris, match: {uri: "file:*"}, effect: deny}
  - {id: lists, match: {method: "tools/*"}, effect: monitor}
limits:
  - {match: {access: write}, rate: 30/minute}
  - {match: {tool: other}, rate: 1/day}
"""
LOADED = loader.load(POLICY, "p.yaml")


def _explain(directory: Path, *options: str) -> Done:
    policy = directory / "p.yaml"
    policy.write_bytes(POLICY)
    return run(directory / "home", "policy", "explain", "--policy", str(policy), *options)


def test_every_rule_is_named_in_order_with_what_fits_and_what_does_not(tmp_path: Path) -> None:
    done = _explain(tmp_path, "--server", "files", "--tool", "write_file", "--args", '{"path": "/srv/notes/a.md"}')
    assert (done.status, done.stderr) == (0, "")
    assert (
        done.stdout
        == f"""\
allow, by 'notes': the rule 'notes' in line 8 of {tmp_path}/p.yaml allows it
access    write: nothing classifies the tool
rules     6 in {tmp_path}/p.yaml; + fits, - does not, ? nobody can tell
  line 7    no-keys: does not apply
    - tool: 'read_*'
    - argument path: glob '*.pem' or '*/.env'
  line 8    notes: decides, allow
    + server: 'files'
    + tool: 'write_file'
    + argument path: within '/srv/notes'
    + argument path: max_length 30
  line 11   pushes: does not apply
    - tool: 'push_*'
    - argument /refs/0: equals "main" (not given)
  line 12   moves: does not apply
    - tool: 'move_file'
    + access: write
  line 13   uris: does not apply
    - uri: 'file:*'
  line 14   lists: comes too late, would decide: monitor
    + method: 'tools/*'
default   ask, where no rule speaks
secrets   pass, in the answer
limit     limits.1, 30/minute, counts such requests
"""
    )


def test_what_nobody_can_tell_is_said(tmp_path: Path) -> None:
    denied = _explain(tmp_path, "--server", "files", "--tool", "read_all", "--args", '{"path": ["/a", "/b.pem"]}')
    assert denied.stdout.startswith("deny, by 'no-keys'")
    assert "  line 7    no-keys: decides, deny, because nobody can tell whether it applies\n" in denied.stdout
    assert "    ? argument path: glob '*.pem' or '*/.env'\n" in denied.stdout
    passed = _explain(tmp_path, "--server", "files", "--tool", "write_file", "--args", '{"path": "notes/a"}')
    assert "notes: does not apply, because nobody can tell whether it does and it lets pass\n" in passed.stdout


@pytest.mark.parametrize(
    ("options", "decision", "rule", "access", "origin"),
    [
        (["--server", "hints", "--tool", "t", "--read-only-hint", "true"], "monitor", "lists", "read", "annotation"),
        (["--server", "files", "--tool", "move_file"], "monitor", "moves", "write", "policy"),
        (["--server", "files", "--uri", "file:///a"], "deny", "uris", "read", "default"),
        (["--server", "files", "--prompt", "p"], "allow", "defaults.read", "read", "default"),
        (["--server", "files", "--method", "future/thing"], "ask", "defaults.write", "write", "default"),
        (
            ["--server", "files", "--method", "sampling/createMessage", "--from", "upstream"],
            "deny",
            "defaults.client_request",
            "client_request",
            "default",
        ),
        (["--server", "files", "--method", "ping"], "allow", "housekeeping", "read", "default"),
        (["--server", "git", "--tool", "push_x", "--args", '{"refs": ["main"]}'], "ask", "pushes", "write", "default"),
    ],
)
def test_programs_get_decision_rule_and_access(
    tmp_path: Path, options: list[str], decision: str, rule: str, access: str, origin: str
) -> None:
    answer = _explain(tmp_path, *options, "--format", "json").json
    assert (answer["decision"], answer["rule"]) == (decision, rule)
    assert (answer["access"], answer["access_from"]) == (access, origin)
    assert [one["id"] for one in answer["rules"]] == ["no-keys", "notes", "pushes", "moves", "uris", "lists"]
    assert [one["id"] for one in answer["rules"] if one["turn"] == "decides"] == [rule] * (rule in POLICY.decode())


def test_housekeeping_is_left_to_rules_that_name_methods(tmp_path: Path) -> None:
    answer = _explain(tmp_path, "--server", "files", "--method", "tools/list", "--format", "json").json
    turns = {one["id"]: one["turn"] for one in answer["rules"]}
    assert turns.pop("lists") == "decides"
    assert set(turns.values()) == {"not_asked"}
    assert answer["default"] == "allow"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--server", "s"], "say what is asked for: a tool, a uri, a prompt or a method"),
        (["--server", "s", "--tool", "t", "--uri", "u"], "no request has tool and uri at once"),
        (["--server", "s", "--method", "tools/call"], "tools/call has a tool, and no other method has one"),
        (["--server", "s", "--tool", "t", "--args", "[]"], "--args must be one JSON object, with each key once"),
        (["--server", "s", "--tool", "t", "--args", '{"a":1,"a":2}'], "--args must be one JSON object"),
        (["--server", "s", "--tool", "t", "--args", '{"a":"\\ud800"}'], "--args must be one JSON object"),
    ],
)
def test_what_no_frame_could_ask_is_refused(tmp_path: Path, options: list[str], message: str) -> None:
    done = _explain(tmp_path, *options)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(f"aegis-mcp: {message}")
    answer = _explain(tmp_path, *options, "--format", "json").json
    assert answer["error"].startswith(message)


def test_nothing_that_is_asked_moves_the_cursor(tmp_path: Path) -> None:
    done = _explain(tmp_path, "--server", "s\x1b[2J", "--method", "a\x1b]0;x\x07")
    assert done.status == 0
    assert "\x1b" not in done.stdout


VALUES = st.recursive(
    st.sampled_from(["/srv/notes/a", "/b.pem", "x/.env", "main", "", None, True, 1, 2.5]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["0", "path"]), inner, max_size=2),
    max_leaves=4,
)
REQUESTS = st.builds(
    Request,
    st.sampled_from(["files", "hints", "git"]),
    st.just("tools/call"),
    tool=st.sampled_from(["read_file", "write_file", "push_all", "move_file", "other"]),
    arguments=st.dictionaries(st.sampled_from(["path", "refs", "x"]), VALUES),
    read_only_hint=st.sampled_from([None, True, False]),
    is_listed=st.booleans(),
) | st.builds(
    Request,
    st.sampled_from(["files", "git"]),
    st.sampled_from(["resources/read", "tools/list", "ping", "future/thing"]),
    arguments=st.just({}),
    uri=st.sampled_from([None, "file:///a", "https://example.org/a"]),
    is_from_upstream=st.booleans(),
)


@given(REQUESTS)
def test_an_explanation_never_differs_from_the_decision(request: Request) -> None:
    explained = explain(LOADED, request)
    decision = decide(LOADED, request)
    assert explained.decision == decision
    deciding = [step for step in explained.steps if step.turn is Turn.DECIDES]
    if decision.rule in {rule.id for rule in LOADED.rules}:
        (step,) = deciding
        assert (step.rule.id, step.effect) == (decision.rule, decision.effect)
    else:
        assert deciding == []
        is_default = decision.rule in {"housekeeping", f"defaults.{decision.access.value}"}
        assert explained.default is decision.effect or not is_default


@given(REQUESTS)
def test_a_rule_speaks_only_if_none_of_its_parts_says_no(request: Request) -> None:
    for step in explain(LOADED, request).steps:
        if step.effect is not None:
            assert [part for part in step.parts if part.fits is False] == []
        if step.turn is Turn.PASSES_ON and step.rule.effect is Effect.DENY:
            assert [part for part in step.parts if part.fits is False]


def test_every_matcher_is_shown_as_a_policy_says_it() -> None:
    text = """\
version: 1
rules:
  - id: all
    match:
      arguments:
        a: {equals: 1}
        b: {in: [x, null]}
        c: {glob: "*"}
        d: {within: /srv}
        e: {regex: "[a-z]+"}
        f: {host: "*.example.org"}
        g: {max_length: 3}
        h: {range: {min: 1}}
        i: {range: {min: 1, max: 2.5}}
        j: {absent: true}
    effect: deny
"""
    (rule,) = loader.load(text.encode(), "p.yaml").rules
    assert [describe(matcher) for argument in rule.match.arguments for matcher in argument.matchers] == [
        *("equals 1", 'in "x", null', "glob '*'", "within '/srv'", "regex '[a-z]+'", "host '*.example.org'"),
        *("max_length 3", "range min 1", "range min 1, max 2.5", "absent"),
    ]


def test_an_argument_that_is_not_given_is_told_from_one_that_does_not_fit() -> None:
    request = Request("files", "tools/call", tool="write_file", arguments=json.loads('{"path": "/etc/x"}'))
    notes = explain(LOADED, request).steps[1]
    assert notes.parts[2:] == (
        Part("argument path", "within '/srv/notes'", fits=False),
        Part("argument path", "max_length 30", fits=True),
    )
    absent = explain(LOADED, Request("files", "tools/call", tool="write_file")).steps[1]
    assert [part.is_given for part in absent.parts] == [True, True, False, False]


def test_a_list_of_which_each_item_fails_elsewhere_does_not_fit() -> None:
    text = "version: 1\nrules: [{id: a, match: {arguments: {p: {glob: 'a*', max_length: 2}}}, effect: allow}]"
    request = Request("s", "tools/call", tool="t", arguments={"p": ["abc", "b"]})
    (step,) = explain(loader.load(text.encode(), "p.yaml"), request).steps
    assert (step.turn, step.is_unsure, [part.fits for part in step.parts]) == (Turn.PASSES_ON, False, [None, None])


def test_who_has_no_policy_yet_is_told_to_copy_the_one_that_is_shipped(tmp_path: Path) -> None:
    # A file with that one line alone would no longer know which tools read.
    done = run(tmp_path, "policy", "explain", "--server", "files", "--tool", "move_file")
    place = tmp_path / "config" / "aegis-mcp" / "policy.yaml"
    assert done.stdout.partition("\n")[0].endswith(
        f" under `rules:` in a copy of the shipped policy, made as {place}, would allow it"
    )
