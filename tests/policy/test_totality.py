"""Whatever is asked gets a decision and a reason that a person can use, however hostile the names are."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_mcp.decision import Access, AccessFrom, Decision, Effect, Request
from aegis_mcp.policy import loader
from aegis_mcp.policy.evaluation import decide

POLICY = loader.load(
    b"""
version: 1
upstreams:
  files: {access: {write: ["move_*"]}}
rules:
  - {id: late, match: {tool: mend, arguments: {x: {equals: 1}}}, effect: allow}
  - {id: plain, match: {tool: plain}, effect: allow}
  - {id: refused, match: {tool: refused}, effect: deny}
""",
    "p.yaml",
)


DENIED = "writes are denied unless a rule allows them"
UNCLASSIFIED = "nothing classifies this tool, so it counts as a write"
OR_ACCESS = "and so would `access` if it is a read"


def remedy(rule_id: str, kind: str, pattern: str, server: str = "s") -> str:
    """Return the line that a refusal proposes."""
    line = f'- {{id: {rule_id}, match: {{"server": "{server}", "{kind}": "{pattern}"}}, effect: allow}}'
    return f"the line `{line}` under `rules:` in p.yaml would allow it"


class Broken(dict[str, Any]):
    """Arguments that cannot be looked at."""

    def get(self, key: str, default: object = None, /) -> Any:
        raise MemoryError(key, default)


def test_a_rule_that_fails_denies_under_its_own_id() -> None:
    assert decide(POLICY, Request("s", "tools/call", tool="mend", arguments=Broken())) == Decision(
        Effect.DENY, "late", "the rule 'late' could not be evaluated (MemoryError)", Access.WRITE, AccessFrom.DEFAULT
    )


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request("s", "tools/call", tool="plain"), "the rule 'plain' in line 7 of p.yaml allows it"),
        (Request("s", "tools/call", tool="refused"), "the rule 'refused' in line 8 of p.yaml denies it"),
        (
            Request("files", "tools/call", tool="move_file", arguments={"source": "/private"}),
            f"{DENIED}; {remedy('allow-move_file', 'tool', 'move_file', server='files')}",
        ),
        (
            Request("s", "tools/call", tool="t"),
            f"{UNCLASSIFIED}; {DENIED}; {remedy('allow-t', 'tool', 't')}, {OR_ACCESS}",
        ),
        (
            Request("s", "x/y"),
            f"{DENIED}; {remedy('allow-x-y', 'method', 'x/y')}",
        ),
        (
            Request("s", "tools/call", tool="a*b"),
            f"{UNCLASSIFIED}; {DENIED}; {remedy('allow-a-b', 'tool', 'a[*]b')}, {OR_ACCESS}",
        ),
        (
            Request("s", "tools/call", tool="a\nb"),
            f"{UNCLASSIFIED}; {DENIED}; a rule for server 's' in p.yaml would allow it, {OR_ACCESS}",
        ),
        (
            Request("s", "tools/call", tool=""),
            f"{DENIED}; a rule for server 's' in p.yaml would allow it",
        ),
        (
            Request("s", "x/y", uri=""),
            f"{DENIED}; a rule for server 's' in p.yaml would allow it",
        ),
        (Request("s", "prompts/get", prompt="p"), "reads are allowed unless a rule denies them"),
        (Request("s", "tools/call", tool="gone", is_listed=False), "the upstream 's' does not list a tool 'gone'"),
    ],
)
def test_a_reason_says_what_would_change_the_decision(request_: Request, reason: str) -> None:
    assert decide(POLICY, request_).reason == reason


@pytest.mark.parametrize("name", ["x" * 1_000_000, "\x1b[2J\n" * 10_000], ids=["long", "escapes"])
def test_a_name_that_a_peer_chose_is_shown_short_and_printable(name: str) -> None:
    for request in (
        Request("s", "tools/call", tool=name),
        Request("s", "tools/call", tool=name, is_listed=False),
        Request("s", name),
    ):
        reason = decide(POLICY, request).reason
        assert reason.isprintable()
        assert len(reason) < 1000


def test_a_hostile_name_takes_no_longer_for_a_pattern_with_many_stars() -> None:
    stars = loader.load(
        b'{version: 1, rules: [{id: a, match: {tool: "' + b"*a" * 40 + b'b"}, effect: allow}]}', "p.yaml"
    )
    assert decide(stars, Request("s", "tools/call", tool="a" * 100_000)).rule == "defaults.write"
