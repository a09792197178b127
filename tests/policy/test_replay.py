"""A replay says what a policy would have decided, and never guesses at what a log left out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp.audit.record import Asked, Client, Recordkeeper
from aegis_mcp.audit.redaction import RedactionKey, encode, scrub
from aegis_mcp.cli.policy.replay import MAX_UNKNOWN
from aegis_mcp.decision import Decision, Effect, Request
from aegis_mcp.policy import loader
from aegis_mcp.policy.evaluation import decide
from aegis_mcp.policy.replay import Replayed, Verdict, replay
from aegis_mcp.recorded import Recorded, RecordedLog
from aegis_mcp.settings import ArgumentMode
from support.commands import Done, run
from support.logs import COMPRESSIONS, LogBuilder, trace_of, write

KEY = RedactionKey(b"k" * 32)
TOKEN = "ghp_" + "a1B2" * 9
EVERYTHING = loader.load(b"version: 1\ndefaults: {write: allow}", "old.yaml")
NOTES = """\
version: 1
defaults: {write: monitor}
upstreams:
  files: {access: {read: ["read_*"]}}
  hints: {trust_annotations: true}
rules:
  - {id: no-env, match: {tool: "read_*", arguments: {path: {glob: "*.env"}}}, effect: deny}
  - {id: token, match: {arguments: {token: {glob: "ghp_*"}}}, effect: ask}
  - {id: deep, match: {arguments: {/deep/0/password: {max_length: 3}}}, effect: deny}
  - {id: none, match: {tool: other, arguments: {secret: {absent: true}}}, effect: allow}
  - {id: uris, match: {uri: "file:*"}, effect: deny}
  - {id: counts, match: {arguments: {n: {range: {min: 3}}}}, effect: allow}
"""
NEW = loader.load(NOTES.encode(), "new.yaml")


def _log(path: Path, *requests: Request, mode: ArgumentMode = ArgumentMode.REDACTED, rule: str = "") -> Path:
    """Write a log of requests as the gate records them, each decided on by a policy that lets everything pass."""
    log = LogBuilder()
    log.open_log()
    keeper = Recordkeeper(policy_sha256="0" * 64, redact=lambda value: encode(value, mode=mode, key=KEY), scrub=scrub)
    for number, request in enumerate(requests):
        decision = decide(EVERYTHING, request)
        decision = Decision(decision.effect, rule or decision.rule, "", decision.access, decision.access_from)
        asked = Asked(request, number, trace_of(number), Client())
        is_lenient = decision.effect.is_lenient and not rule
        draft = keeper.intent(asked, decision) if is_lenient else keeper.denial(asked, decision)
        log.add(draft.event_type, json.loads(draft.event), draft.trace_id)
    return write(path, log.lines)


def _recorded(directory: Path, request: Request, **how: Any) -> Recorded:
    (recorded,) = RecordedLog([str(_log(directory / "audit.log", request, **how))]).requests()
    return recorded


def _replayed(directory: Path, request: Request, policy: str = NOTES, **how: Any) -> Replayed:
    return replay(loader.load(policy.encode(), "new.yaml"), _recorded(directory, request, **how))


def _call(tool: str, server: str = "files", **arguments: Any) -> Request:
    return Request(server, "tools/call", tool=tool, arguments=arguments)


def _command(directory: Path, *options: str, policy: str = NOTES) -> Done:
    (directory / "new.yaml").write_text(policy, encoding="utf-8")
    return run(directory / "home", "policy", "replay", "--policy", str(directory / "new.yaml"), *options)


@pytest.mark.parametrize(
    ("request_", "effect", "rule"),
    [
        (_call("read_a", path="/x/.env"), Effect.DENY, "no-env"),
        (_call("read_a", path="/x/a"), Effect.ALLOW, "defaults.read"),
        (_call("push", n=3), Effect.ALLOW, "counts"),
        (_call("push", n=2), Effect.MONITOR, "defaults.write"),
        (_call("other", secret=TOKEN), Effect.MONITOR, "defaults.write"),
        (_call("other"), Effect.ALLOW, "none"),
        (Request("files", "resources/read", uri="file:///a"), Effect.DENY, "uris"),
    ],
)
def test_what_the_log_holds_is_decided_on_anew(tmp_path: Path, request_: Request, effect: Effect, rule: str) -> None:
    replayed = _replayed(tmp_path, request_)
    assert (replayed.effect, replayed.rules, replayed.doubts) == (effect, (rule,), ())
    assert replayed.verdict is (Verdict.SAME if effect is replayed.recorded.effect else Verdict.CHANGED)


@pytest.mark.parametrize(
    ("request_", "doubt"),
    [
        (_call("push", token=TOKEN), "the log does not hold the argument 'token', which the rule 'token' asks for"),
        (_call("push", deep=[{"password": "x"}]), "the log does not hold the argument 'deep/0/password'"),
        (_call("read_a", path="/x/" + "y" * 20_000), "the log does not hold the argument 'path'"),
        (_call("push", n=2**60), "the log does not hold the argument 'n'"),
        (Request("files", "resources/read", uri="https://u:password@example.org/"), "the log does not hold the uri"),
        (Request("files", "resources/read", uri="file:" + "x" * 600), "the log does not hold the uri"),
        (_call("t" * 600), "the log does not hold the tool"),
        (_call("t", server="hints"), "the log does not hold what the server said of the tool (readOnlyHint)"),
    ],
    ids=["token", "deep", "long", "wide", "credential in a uri", "long uri", "long tool", "hint"],
)
def test_where_a_decision_depends_on_what_was_left_out_nobody_can_tell(
    tmp_path: Path, request_: Request, doubt: str
) -> None:
    replayed = _replayed(tmp_path, request_)
    assert (replayed.verdict, replayed.effect) == (Verdict.UNKNOWN, None)
    assert [one for one in replayed.doubts if one.startswith(doubt)]


@pytest.mark.parametrize(
    "request_",
    [
        _call("read_a", path="/a", token=TOKEN, server="x"),  # `token` asks, `no-env` does not: both could be
        _call("push", n=TOKEN),
    ],
)
def test_a_secret_that_no_rule_asks_for_hides_nothing(tmp_path: Path, request_: Request) -> None:
    policy = "version: 1\nrules: [{id: a, match: {arguments: {path: {glob: '*'}}}, effect: deny}]"
    assert _replayed(tmp_path, request_, policy).doubts == ()


def test_what_is_decided_alike_whatever_was_left_out_is_told(tmp_path: Path) -> None:
    policy = "version: 1\nrules: [{id: a, match: {tool: push, arguments: {token: {equals: x}}}, effect: deny}]"
    replayed = _replayed(tmp_path, _call("push", token=TOKEN), policy)
    assert (replayed.verdict, replayed.effect, replayed.rules) == (
        Verdict.CHANGED,
        Effect.DENY,
        ("a", "defaults.write"),
    )


@pytest.mark.parametrize("mode", [ArgumentMode.HASHED, ArgumentMode.NONE])
def test_a_log_without_arguments_answers_nothing_that_depends_on_them(tmp_path: Path, mode: ArgumentMode) -> None:
    assert _replayed(tmp_path, _call("read_a", path="/a"), mode=mode).verdict is Verdict.UNKNOWN
    plain = "version: 1\nrules: [{id: a, match: {tool: read_a}, effect: deny}]"
    assert _replayed(tmp_path, _call("read_a", path="/a"), plain, mode=mode).effect is Effect.DENY


@pytest.mark.parametrize("rule", ["pins", "protocol"])
def test_what_was_refused_whatever_policy_says_is_not_compared(tmp_path: Path, rule: str) -> None:
    assert _replayed(tmp_path, _call("read_a"), rule=rule).verdict is Verdict.NOT_OF_POLICY


def test_a_limit_that_had_no_room_may_have_room_or_not(tmp_path: Path) -> None:
    limited = NOTES + "limits: [{match: {tool: 'read_*'}, rate: 1/second}]"
    recorded = _recorded(tmp_path, _call("read_a", path="/a"), rule="limits.1")
    recorded = dataclasses.replace(recorded, effect=Effect.DENY)
    assert replay(loader.load(limited.encode(), "p"), recorded).verdict is Verdict.UNKNOWN
    without = replay(NEW, recorded)
    assert (without.verdict, without.effect) == (Verdict.CHANGED, Effect.ALLOW)
    passed = _replayed(tmp_path, _call("read_a", path="/a"), limited)
    assert (passed.verdict, passed.is_limited) == (Verdict.SAME, True)


LEAVES = st.sampled_from(["/x/.env", "/x", TOKEN, f"Bearer {TOKEN}", "abc", "", None, True, 1, 3, 2.5, 2**60])
NAMES = st.sampled_from(["path", "token", "password", "secret", "deep", "n", "0", TOKEN])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=5
)
CALLS = st.builds(
    Request,
    st.sampled_from(["files", "hints", "git"]),
    st.just("tools/call"),
    tool=st.sampled_from(["read_a", "push", "other"]),
    arguments=st.dictionaries(NAMES, VALUES, max_size=4),
    read_only_hint=st.sampled_from([None, True, False]),
)


@given(CALLS, st.sampled_from(ArgumentMode))
def test_what_a_replay_is_sure_of_is_what_the_gate_would_have_decided(
    tmp_path_factory: pytest.TempPathFactory, request: Request, mode: ArgumentMode
) -> None:
    directory = tmp_path_factory.getbasetemp()
    replayed = replay(NEW, _recorded(directory, request, mode=mode))
    decision = decide(NEW, request)
    if replayed.effect is not None:
        assert replayed.effect is decision.effect
    if len(replayed.rules) == 1:
        assert replayed.rules == (decision.rule,)
    assert decision.rule in replayed.rules


@given(CALLS)
def test_a_log_that_holds_everything_leaves_no_doubt(
    tmp_path_factory: pytest.TempPathFactory, request: Request
) -> None:
    if request.server == "hints" or "1152921504606846976" in json.dumps(request.arguments):
        return  # what no log holds
    replayed = replay(NEW, _recorded(tmp_path_factory.getbasetemp(), request, mode=ArgumentMode.FULL))
    assert replayed.effect is decide(NEW, request).effect


def test_changes_are_listed_with_both_rules_and_the_rest_is_counted(tmp_path: Path) -> None:
    requests = [_call("read_a", path="/a"), _call("read_a", path="/.env"), _call("push", token=TOKEN), _call("push")]
    log = _log(tmp_path / "audit.log", *requests)
    done = _command(tmp_path, str(log))
    assert (done.status, done.stderr) == (1, "")
    time = "2026-11-24T03:31:51.12"
    doubt = "the log does not hold the argument 'token', which the rule 'token' asks for"
    same, newly = "1 the same (1 by another rule)", "1 newly denied, 1 newly monitored"
    was = "allow by 'defaults.write'"
    assert done.stdout.splitlines() == [
        f"newly denied     seq 2  {time}6456Z  files read_a  {was} -> deny by 'no-env'",
        f"cannot tell      seq 3  {time}7456Z  files push  {was} -> {doubt}",
        f"newly monitored  seq 4  {time}8456Z  files push  {was} -> monitor by 'defaults.write'",
        f"4 requests by {tmp_path}/new.yaml: {same}, {newly}, 1 cannot be told",
    ]


def test_a_program_gets_the_same(tmp_path: Path) -> None:
    requests = [_call("read_a", path="/a"), _call("read_a", path="/.env"), _call("push", token=TOKEN), _call("push")]
    answer = _command(tmp_path, str(_log(tmp_path / "audit.log", *requests)), "--format", "json").json
    assert [(one["seq"], one["now"], one["now_by"]) for one in answer["changes"]] == [
        (2, "deny", ["no-env"]),
        (4, "monitor", ["defaults.write"]),
    ]
    assert answer["unknown"]["count"] == len(answer["unknown"]["first"]) == 1
    assert answer["newly"] == {"allow": 0, "deny": 1, "ask": 0, "monitor": 1}
    assert (answer["requests"], answer["same"], answer["same_by_another_rule"]) == (4, 1, 1)


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_compressed_segments_are_read_and_nothing_changes_under_the_same_policy(tmp_path: Path, suffix: str) -> None:
    log = _log(tmp_path / "audit.log", *[_call("push", n=number) for number in range(20)])
    (tmp_path / f"audit.log.1.{suffix}").write_bytes(COMPRESSIONS[suffix](log.read_bytes()))
    log.unlink()
    done = _command(tmp_path, str(tmp_path / "audit.log*"), policy="version: 1\ndefaults: {write: allow}")
    assert (done.status, done.stdout) == (0, f"20 requests by {tmp_path}/new.yaml: 20 the same\n")


def test_damage_is_named_and_no_success(tmp_path: Path) -> None:
    log = _log(tmp_path / "audit.log", _call("push"), _call("push"))
    lines = log.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"push", b"pull")
    done = _command(tmp_path, str(write(log, lines)), policy="version: 1\ndefaults: {write: allow}")
    assert (done.status, done.stdout) == (1, f"1 request by {tmp_path}/new.yaml: 1 the same\n")
    assert done.stderr == f"{log}, line 2: the entry's bytes do not have the hash that the entry states\n"


@pytest.mark.parametrize("content", [None, b""])
def test_no_log_at_all_is_no_success(tmp_path: Path, content: bytes | None) -> None:
    log = tmp_path / "audit.log"
    if content is not None:
        log.write_bytes(content)
    done = _command(tmp_path, str(log))
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(f"aegis-mcp: there is nothing to replay: {log}: ")
    assert _command(tmp_path, str(log), "--format", "json").json["error"].startswith("there is nothing to replay")


def test_a_log_without_a_request_proves_nothing(tmp_path: Path) -> None:
    done = _command(tmp_path, str(_log(tmp_path / "audit.log")))
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr == "aegis-mcp: there is nothing to replay: the log holds no request\n"


def test_what_an_entry_says_moves_no_cursor(tmp_path: Path) -> None:
    log = _log(tmp_path / "audit.log", _call("push\x1b[2J"))
    done = _command(tmp_path, str(log))
    assert "\x1b" not in done.stdout
    assert "push\\x1b[2J" in done.stdout


def test_a_log_may_come_through_a_pipe(tmp_path: Path) -> None:
    log = _log(tmp_path / "audit.log", _call("push"), _call("push"))
    policy = tmp_path / "new.yaml"
    policy.write_text("version: 1\ndefaults: {write: allow}", encoding="utf-8")
    done = run(tmp_path, "policy", "replay", "--policy", str(policy), "-", stdin=log.read_bytes())
    assert (done.status, done.stdout) == (0, f"2 requests by {policy}: 2 the same\n")


def test_of_many_that_nobody_can_tell_the_first_are_named_and_all_are_counted(tmp_path: Path) -> None:
    log = _log(tmp_path / "audit.log", *[_call("push", token=TOKEN) for _ in range(MAX_UNKNOWN + 7)])
    *named, more, account = _command(tmp_path, str(log)).stdout.splitlines()
    assert (len(named), more) == (MAX_UNKNOWN, "cannot tell      and 7 more")
    assert account.endswith(f"0 the same, {MAX_UNKNOWN + 7} cannot be told")
    answer = _command(tmp_path, str(log), "--format", "json").json
    assert (answer["unknown"]["count"], len(answer["unknown"]["first"])) == (MAX_UNKNOWN + 7, MAX_UNKNOWN)
    assert (answer["changes"], answer["exit_code"]) == ([], 1)


@pytest.mark.parametrize("change", [{"decision": "perhaps"}, {"access": None}, {"rule": 3}, {"access_from": "x"}])
def test_an_entry_that_says_too_little_is_counted_and_no_success(tmp_path: Path, change: dict[str, Any]) -> None:
    log = LogBuilder()
    log.open_log()
    event = {"server": "s", "method": "ping", "decision": "allow", "access": "read", "access_from": "default"}
    event |= {"rule": "a", "phase": "intent"}
    log.add("tool_invocation", event | {"arguments": dict[str, Any]()}, trace_of(1))
    log.add("tool_invocation", event | change, trace_of(2))
    done = _command(tmp_path, str(write(tmp_path / "audit.log", log.lines)))
    first, second = done.stdout.splitlines()
    assert (done.status, second) == (1, "1 entry of requests cannot be understood")
    assert first.startswith("1 request by")
