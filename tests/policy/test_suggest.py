"""`aegis-mcp policy suggest` proposes a policy that loads, lets reads through and no write, whatever a server says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp import proposal
from aegis_mcp.decision import Access, AccessFrom, Effect, Request
from aegis_mcp.policy import loader
from aegis_mcp.policy.evaluation import decide
from aegis_mcp.suggestion import Server, Tool, offered, suggest
from aegis_mcp.upstream.offer import Offer
from support.commands import Done, run
from support.host import GATEWAY, environment
from support.journals import SESSION
from support.logs import LogBuilder, trace_of, write
from support.processes import is_alive, wait_until

OFFERING = Path(__file__).parents[1] / "support" / "offering.py"


def _suggest(directory: Path, way: str, *options: str) -> Done:
    command = (sys.executable, str(OFFERING), way)
    return run(directory, "policy", "suggest", "--name", "demo", *options, "--", *command)


def _access(*tools: Tool) -> dict[str, str]:
    return {one.tool.name: one.access.value for one in suggest(Server("s", tools))}


@pytest.mark.parametrize(
    ("tool", "access", "why"),
    [
        (Tool("get_x"), "read", "its name says 'get'; the server says nothing"),
        (Tool("listFiles"), "read", "its name says 'list'; the server says nothing"),
        (Tool("search-code"), "read", "its name says 'search'; the server says nothing"),
        (Tool("x", read_only=True), "read", "the server says that it only reads"),
        (Tool("get_commit", read_only=True), "read", "the server says that it only reads"),
        (Tool("f", True, is_open=True), "read", "the server says that it only reads, and that it reaches beyond it"),
        (Tool("get_commit"), "write", "its name says 'commit'"),
        (Tool("get_or_create", read_only=True), "write", "unclear: the server says that it only reads, its name says"),
        (Tool("deleteAll", read_only=True), "write", "unclear: the server says that it only reads, its name says"),
        (Tool("get_x", read_only=False), "write", "the server says that it changes something"),
        (Tool("get_x", is_destructive=True), "write", "the server says that it changes something"),
        (Tool("push_x"), "write", "its name says 'push'"),
        (Tool("search_and_replace"), "write", "its name says 'replace'"),
        (Tool("frobnicate"), "write", "unclear: neither its name nor the server says that it only reads"),
        (Tool("forget_x"), "write", "unclear"),
        (Tool("g\u0435t_x"), "write", "unclear: its name has unusual characters"),
        (Tool("get_x\n", read_only=True), "write", "unclear: its name has unusual characters"),
        (Tool(""), "write", "unclear"),
    ],
    ids=lambda value: value.name if isinstance(value, Tool) else None,
)
def test_a_tool_is_a_read_only_where_nothing_says_otherwise(tool: Tool, access: str, why: str) -> None:
    (suggestion,) = suggest(Server("s", (tool,)))
    assert suggestion.access.value == access
    assert suggestion.why.startswith(why.replace("beyond it", "beyond the server"))


def test_the_word_with_which_every_tool_begins_is_passed_over() -> None:
    assert _access(Tool("git_show"), Tool("git_commit"), Tool("git_gc")) == {
        "git_show": "read",
        "git_commit": "write",
        "git_gc": "write",
    }
    assert _access(Tool("git_show"), Tool("hub_show")) == {"git_show": "write", "hub_show": "write"}
    assert _access(Tool("delete_get"), Tool("delete_list")) == {"delete_get": "write", "delete_list": "write"}


@pytest.mark.parametrize("hints", [(True, False), (False, True)])
def test_a_tool_that_is_listed_twice_is_what_is_more_careful(hints: tuple[bool, bool]) -> None:
    assert _access(*(Tool("get_x", read_only=hint) for hint in hints)) == {"get_x": "write"}


NAMES = st.text(max_size=140) | st.sampled_from(["get_*", "list_[a]", "read_?", 'get_"x"', "get_\\x", "*", "get_x # y"])
TOOLS = st.builds(
    Tool,
    NAMES,
    read_only=st.sampled_from([None, True, False]),
    is_destructive=st.booleans(),
    places=st.lists(st.text(min_size=1, max_size=8).filter(str.isprintable), max_size=2).map(tuple),
)
SERVERS = st.builds(
    Server,
    st.sampled_from(["files", "git", "Not A Name", "x\ny"]),
    st.lists(TOOLS, max_size=8).map(tuple),
    st.lists(st.text(max_size=20), max_size=2).map(tuple),
    st.lists(st.text(max_size=20), max_size=2).map(tuple),
)


@given(st.lists(SERVERS, max_size=3, unique_by=lambda server: server.name), st.text(max_size=20))
def test_whatever_a_server_says_the_proposal_loads_and_lets_no_write_through(others: list[Server], source: str) -> None:
    servers = [Server("demo", (Tool("get_x"), Tool("x"))), *others]
    policy = loader.load(proposal.render(servers, source).encode("utf-8", "strict"), "p.yaml")
    assert (policy.rules, policy.defaults.write, policy.defaults.client_request) == ((), Effect.DENY, Effect.DENY)
    assert {*policy.upstreams} == {server.name for server in servers if proposal.has_name(server)}
    for server in servers:
        is_named = proposal.has_name(server)
        reads = {one.tool.name for one in suggest(server) if is_named and one.access is Access.READ}
        for name in {*(tool.name for tool in server.tools), "later", "get_later", "*"}:
            decision = decide(policy, Request(server.name, "tools/call", tool=name))
            assert decision.effect is (Effect.ALLOW if name in reads and len(name) <= 128 else Effect.DENY), name
            assert decision.access_from is (AccessFrom.POLICY if is_named else AccessFrom.DEFAULT)


def test_a_server_with_more_than_a_person_reads_gives_a_file_that_loads() -> None:
    names = [f"{verb}_{'é' * 100}{number}" for number in range(6_000) for verb in ("read", "write")]
    servers = [
        Server(f"s{number}", tuple(Tool(name, read_only=True, places=("path",) * 4) for name in names[:300]))
        for number in range(60)
    ]
    servers.append(Server("plain", tuple(Tool(f"get_{'x' * 120}{number}") for number in range(10_000))))
    text = proposal.render(servers, "much")
    assert "more, which are too many, or have names that a policy cannot hold\n" in text
    assert len(loader.load(text.encode(), "p.yaml").upstreams) == proposal.MAX_SERVERS


def test_what_a_listing_says_of_a_tool_is_taken_as_it_is() -> None:
    schema = {"properties": dict.fromkeys(("path", "repo_path", "text", "destination"), True)}
    listed: tuple[dict[str, Any], ...] = (
        {"name": "a", "annotations": {"readOnlyHint": True, "openWorldHint": True}, "inputSchema": schema},
        {"name": "b", "annotations": {"readOnlyHint": "yes", "destructiveHint": True}, "inputSchema": []},
        {"name": 7},
        {"annotations": 3},
    )
    offer = Offer(listed, ({"uri": "file:///a"}, {"uri": 3}), ({"uriTemplate": "demo://{x}"},), ({"name": "p"}, {}))
    assert offered("s", offer) == Server(
        "s",
        (
            Tool("a", read_only=True, is_open=True, places=("path", "repo_path", "destination")),
            Tool("b", is_destructive=True),
        ),
        ("file:///a", "demo://{x}"),
        ("p",),
    )


def test_the_proposal_says_of_each_tool_why_and_proposes_rules_in_comments(tmp_path: Path) -> None:
    done = _suggest(tmp_path, "plain")
    assert done.status == 0
    assert done.stdout.endswith("""\
upstreams:
  demo:
    # 1 resources (demo): asking for one is a read
    # 1 prompts (p\\n): asking for one is a read
    access:
      read:
        - "get_a"  # its name says 'get'; the server says nothing
      write:
        - "write_b"  # its name says 'write'
        - "c"  # unclear: neither its name nor the server says that it only reads
        - "*"  # what is not named above, and what comes later

# What would let single writes through: uncomment what you mean, and narrow it. The first rule that applies decides.
# rules:
#   - {id: demo-write_b, match: {server: demo, tool: "write_b"}, effect: ask}
#   - {id: demo-c, match: {server: demo, tool: "c"}, effect: ask}
""")


def test_the_rules_in_the_comments_are_rules(tmp_path: Path) -> None:
    head, rules = _suggest(tmp_path, "plain").stdout.split("# rules:\n")
    uncommented = "rules:\n" + "".join(line.removeprefix("#") for line in rules.splitlines(keepends=True))
    assert [rule.id for rule in loader.load((head + uncommented).encode(), "p.yaml").rules] == [
        "demo-write_b",
        "demo-c",
    ]


@pytest.mark.parametrize("way", ["pages", "chatty", "modern", "stubborn"])
def test_every_tool_is_found_however_a_server_tells_of_them(tmp_path: Path, way: str) -> None:
    done = _suggest(tmp_path, way, "--format", "json")
    (server,) = done.json["servers"]
    assert [(tool["name"], tool["access"]) for tool in server["tools"]] == [
        ("get_a", "read"),
        ("write_b", "write"),
        ("c", "write"),
    ]
    if way == "stubborn":
        assert not is_alive(int(done.stderr))


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("silent", "the upstream has not said within 1 s what it offers"),
        ("gone", "the upstream exited with status 3 before it had answered"),
        ("refusing", "the upstream refuses tools/list: no\\x1b[2J tools\\n"),
        ("endless", "the upstream lists tools on more than 1000 pages"),
    ],
)
def test_a_server_that_does_not_say_what_it_offers_ends_in_1(tmp_path: Path, way: str, message: str) -> None:
    options = ("--timeout", "1") if way == "silent" else ()
    done = _suggest(tmp_path, way, *options)
    assert (done.status, done.stdout, done.stderr) == (1, "", f"aegis-mcp: {message}\n")
    answer = _suggest(tmp_path, way, *options, "--format", "json").json
    assert (answer["error"], answer["exit_code"]) == (message, 1)


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    output = tmp_path / "policy.yaml"
    first = _suggest(tmp_path, "plain", "--output", str(output))
    assert (first.status, first.stdout) == (0, "")
    assert f"written to {output}" in first.stderr
    text = output.read_text(encoding="utf-8")
    assert text == _suggest(tmp_path, "plain").stdout
    again = _suggest(tmp_path, "silent", "--output", str(output))
    assert (again.status, again.stdout) == (2, "")
    assert again.stderr == f"aegis-mcp: {str(output)!r} is there already; nothing is written over\n"
    link = tmp_path / "link.yaml"
    link.symlink_to(tmp_path / "elsewhere.yaml")
    assert _suggest(tmp_path, "plain", "--output", str(link)).status == 2
    assert not (tmp_path / "elsewhere.yaml").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give either the command of a server, after --, or its --url, or a log with --log"),
        (
            ["--log", "x", "--", "true"],
            "give either the command of a server, after --, or its --url, or a log with --log",
        ),
        (["--name", "Not A Name", "--", "true"], "'Not A Name' is no name of an upstream"),
        (["--env", "AEGIS_NOT_SET", "--", "true"], "the environment variable AEGIS_NOT_SET is not set"),
    ],
)
def test_wrong_usage_ends_in_2(tmp_path: Path, options: list[str], message: str) -> None:
    done = run(tmp_path, "policy", "suggest", *options)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(f"aegis-mcp: {message}")


def test_a_command_that_does_not_exist_is_said(tmp_path: Path) -> None:
    done = run(tmp_path, "policy", "suggest", "--", "no-such-program")
    assert (done.status, done.stdout) == (1, "")
    assert (
        done.stderr
        == "aegis-mcp: the command 'no-such-program' is not found, or is no program; give its absolute path\n"
    )


def test_a_log_gives_what_its_servers_were_asked_for(tmp_path: Path) -> None:
    log = LogBuilder(session_id=SESSION)
    log.open_log()
    for number, tool in enumerate(("read_text_file", "read_text_file", "write_file", "get_x\x1b[2J")):
        log.call(number, tool)
    judged = {"access": "write", "access_from": "default", "decision": "deny", "rule": "unlisted-tool"}
    named = {"method": "tools/call", "server": "files", "tool": "get_nothing", "request_id": "1"}
    log.add("access_denied", judged | named | {"reason": ""}, trace_of(9))
    path = write(tmp_path / "audit.log", log.lines)
    text = run(tmp_path, "policy", "suggest", "--log", str(path)).stdout
    assert (
        """\
  files:
    access:
      read:
        - "read_text_file"  # its name says 'read'; the server says nothing, seen 2 times
      write:
        - "write_file"  # its name says 'write'
        # and 1 more, which are too many, or have names that a policy cannot hold
        - "*"  # what is not named above, and what comes later
"""
        in text
    )
    assert 'tool: "write_file", arguments: {"path": {within: [~/work]}}}, effect: allow}' in text
    assert loader.load(text.encode(), "p.yaml").upstreams.keys() == {"files"}
    only = run(tmp_path, "policy", "suggest", "--log", str(path), "--name", "git")
    assert (only.status, only.stdout) == (2, "")
    assert only.stderr == f"aegis-mcp: there is no request to 'git' in {path}\n"


def test_the_server_gets_only_what_it_is_given_of_the_environment(tmp_path: Path) -> None:
    script = "import os, sys; sys.stderr.write(os.environ.get('SHOWN', '') + os.environ.get('HIDDEN', 'none'))"
    extra = {"SHOWN": "yes", "HIDDEN": "secret"}
    done = run(tmp_path, "policy", "suggest", "--env", "SHOWN", "--", sys.executable, "-c", script, extra=extra)
    assert done.stderr.startswith("yesnone")
    assert os.environ.get("HIDDEN") is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_server_never_outlives_the_command_that_asks_it(tmp_path: Path, number: signal.Signals) -> None:
    server = ("sh", "-c", "trap '' TERM; sleep 600 & echo $$ $! >&2; wait; sleep 600")
    command = (*GATEWAY, "policy", "suggest", "--", *server)
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment(tmp_path)) as process:
        assert process.stderr
        started = [int(pid) for pid in process.stderr.readline().split()]
        process.send_signal(number)
        process.wait(20)
    wait_until(lambda: not any(map(is_alive, started)))
    assert len(started) == 2
