"""`aegis-mcp policy test` proves what a policy says, and shows where it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_mcp.decision import Access, Effect, Request
from aegis_mcp.errors import PolicyError
from aegis_mcp.policy import cases
from support.commands import Done, run

POLICY = """\
version: 1
upstreams:
  files: {access: {read: ["read_*"], write: ["*"]}}
  hints: {trust_annotations: true}
rules:
  - {id: notes, match: {tool: write_file, arguments: {path: {within: ["/srv/notes"]}}}, effect: allow}
  - {id: pushes, match: {tool: "push_*"}, effect: ask}
  - {id: moves, match: {tool: move_file}, effect: monitor}
"""

PASSING = """\
version: 1
cases:
  - name: a read
    request: {server: files, tool: read_file, arguments: {path: /etc/hosts}}
    effect: allow
    rule: defaults.read
    access: read
  - name: a note
    request: {server: files, tool: write_file, arguments: {path: /srv/notes/a.md, tags: [1, {deep: [null, true]}]}}
    effect: allow
    rule: notes
  - {name: a push, request: {server: git, tool: push_all}, effect: ask}
  - {name: a move, request: {server: files, tool: move_file}, effect: monitor}
  - {name: a hint, request: {server: hints, tool: t, read_only_hint: true}, effect: allow, access: read}
  - {name: a resource, request: {server: files, uri: "file:///a"}, effect: allow}
  - {name: a prompt, request: {server: files, prompt: p}, effect: allow}
  - {name: sampling, request: {server: files, method: sampling/createMessage, from: upstream}, effect: deny}
"""

FAILING = """\
version: 1
cases:
  - {name: a read, request: {server: files, tool: read_file}, effect: allow}
  - name: an escape
    request: {server: files, tool: write_file, arguments: {path: /srv/notes/../keys}}
    effect: allow
    rule: notes
    access: write
"""


def _test(directory: Path, text: str, *options: str, policy: str = POLICY) -> Done:
    (directory / "policy.yaml").write_text(policy, encoding="utf-8")
    (directory / "cases.yaml").write_text(text, encoding="utf-8")
    named = ("--policy", str(directory / "policy.yaml"))
    return run(directory / "home", "policy", "test", str(directory / "cases.yaml"), *named, *options)


def _mistakes(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyError) as caught:
        cases.load(text.encode(), "c.yaml")
    return [(one.line, one.column, one.message) for one in caught.value.mistakes]


def test_cases_that_pass_end_in_0_and_one_sentence(tmp_path: Path) -> None:
    done = _test(tmp_path, PASSING)
    assert (done.status, done.stdout, done.stderr) == (0, f"8 cases, all passed, by {tmp_path}/policy.yaml\n", "")


def test_a_case_that_fails_is_shown_with_what_was_expected_and_found_and_why(tmp_path: Path) -> None:
    done = _test(tmp_path, FAILING)
    assert (done.status, done.stderr) == (1, "")
    place, asked, effect, rule, because, *rest = done.stdout.splitlines()
    assert place == f"{tmp_path}/cases.yaml:4: an escape"
    assert asked == '  asked     files tools/call write_file {"path": "/srv/notes/../keys"}'
    assert effect == "  effect    expected allow, found deny"
    assert rule == "  rule      expected notes, found defaults.write"
    assert because.startswith(
        "  because   writes are denied unless a rule allows them; the line `- {id: allow-write_file"
    )
    assert rest == ["", f"2 cases, 1 failed, by {tmp_path}/policy.yaml"]


def test_a_program_gets_the_differences_alone(tmp_path: Path) -> None:
    answer = _test(tmp_path, FAILING, "--format", "json").json
    (failed,) = answer["failed"]
    assert (answer["cases"], answer["exit_code"], failed["name"], failed["line"]) == (2, 1, "an escape", 4)
    assert failed["differences"] == {
        "effect": {"expected": "allow", "found": "deny"},
        "rule": {"expected": "notes", "found": "defaults.write"},
    }


def test_mistakes_of_either_file_end_in_2_with_their_places(tmp_path: Path) -> None:
    broken = _test(tmp_path, "version: 1\ncases: [{name: a}]")
    assert (broken.status, broken.stdout) == (2, "")
    assert f"{tmp_path}/cases.yaml:2:9: the case has no `request`" in broken.stderr
    policy = _test(tmp_path, PASSING, "--format", "json", policy="version: 2")
    assert policy.json["mistakes"] == [{"line": 1, "column": 10, "message": "the version must be 1"}]
    absent = run(tmp_path, "policy", "test", str(tmp_path / "absent.yaml"))
    assert (absent.status, absent.stdout) == (2, "")
    assert f"the file of cases {tmp_path}/absent.yaml does not exist" in absent.stderr


def test_a_case_becomes_the_request_that_a_frame_would() -> None:
    (case,) = cases.load(
        b"version: 1\ncases: [{name: x, request: {server: s, tool: t, arguments: {a: [1.5]}}, effect: deny}]", "c.yaml"
    )
    assert case == cases.Case(
        "x", Request("s", "tools/call", tool="t", arguments={"a": [1.5]}), Effect.DENY, None, None, 2
    )


def test_every_mistake_is_named_where_it_stands() -> None:
    assert _mistakes(
        """\
version: 1
cases:
  - {name: a, request: {tool: t, serer: s}, effect: refuse}
  - {name: a, request: {server: s}, effect: deny, rules: x}
  - {name: b, request: {server: s, tool: t, uri: u}, effect: deny, access: both}
  - {name: c, request: {server: s, tool: t, method: ping}, effect: deny}
  - {name: d, request: {server: s, tool: t, from: upstream}, effect: deny}
  - {name: e, request: {server: s, tool: t, arguments: {a: 0777, a: 1}}, effect: deny}
  - read
"""
    ) == [
        (3, 24, "the request has no `server`"),
        (3, 34, "`serer` is not known here; did you mean `server`?"),
        (3, 53, "this must be one of allow, deny, ask, monitor"),
        (4, 5, "the name 'a' is that of the case in line 3"),
        (4, 24, "say what is asked for: a tool, a uri, a prompt or a method"),
        (4, 51, "`rules` is not known here; did you mean `rule`?"),
        (5, 24, "no request has tool and uri at once"),
        (5, 76, "this must be one of read, write, client_request"),
        (6, 24, "tools/call has a tool, and no other method has one"),
        (7, 24, "an upstream never asks the host for a tool"),
        (8, 60, "'0777' is not read alike everywhere; write it as in JSON, or put it into quotes"),
        (8, 66, "'a' stands here twice"),
        (9, 5, "this must be a mapping of names to values"),
    ]


@pytest.mark.parametrize("text", ["version: 1", "version: 1\ncases: []", "version: 1\ncases:"])
def test_a_file_without_a_case_proves_nothing(text: str) -> None:
    assert "there is no case, and nothing is proved by none" in {message for _, _, message in _mistakes(text)}


def test_access_alone_can_fail_a_case(tmp_path: Path) -> None:
    text = "version: 1\ncases: [{name: x, request: {server: files, tool: read_a}, effect: allow, access: write}]"
    (failed,) = _test(tmp_path, text, "--format", "json").json["failed"]
    assert failed["differences"] == {"access": {"expected": Access.WRITE.value, "found": Access.READ.value}}
