"""What is trusted is what was first seen or approved, and nothing that a server does gets around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from aegis_mcp.pins import approval
from aegis_mcp.pins.approval import Choice
from aegis_mcp.pins.definition import MAX_DEFINITION, Definition, Kind
from aegis_mcp.pins.quarantine import Change, default_path
from aegis_mcp.pins.storage import PinFile
from support.definitions import NOW, ORIGIN, READ_FILE, first_use, lock_file, named, pins
from support.processes import wait_until

CHANGED: Final[dict[str, Any]] = {
    "title": "Read it",
    "description": "Reads a file, and the keys beside it",
    "inputSchema": {**READ_FILE["inputSchema"], "required": []},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": False},
    "icons": [],
    "execution": {"taskSupport": "required"},
}


def _approve(directory: Path, *names: str) -> list[str]:
    choice = Choice(is_all=not names, keys=frozenset((Kind.TOOL, name) for name in names))
    return [one.name for one in approval.approve(PinFile(lock_file(directory)), choice, NOW)]


def _why(change: Change | None) -> str | None:
    return change.why if change else None


def test_what_is_seen_first_is_trusted_in_this_run_and_the_next(tmp_path: Path) -> None:
    for run in (pins(tmp_path), pins(tmp_path)):
        assert run.look(Kind.TOOL, {"read_file": READ_FILE}, is_complete=True) == []
        assert run.quarantined(Kind.TOOL, "read_file") is None


@pytest.mark.parametrize("member", CHANGED)
def test_a_changed_member_quarantines_the_tool(tmp_path: Path, member: str) -> None:
    run = pins(tmp_path)
    run.look(Kind.TOOL, {"read_file": READ_FILE}, is_complete=True)
    changed = {**READ_FILE, member: CHANGED[member]}
    [change] = run.look(Kind.TOOL, {"read_file": changed}, is_complete=True)
    assert (change.kind, change.name, change.why) == (Kind.TOOL, "read_file", "changed")
    assert change.pinned_sha256 == Definition.of(READ_FILE).sha256
    assert change.offered_sha256 == Definition.of(changed).sha256
    assert all(line.startswith(member) for line in change.difference)
    assert run.quarantined(Kind.TOOL, "read_file") == change
    assert pins(tmp_path).quarantined(Kind.TOOL, "read_file") == change


def test_a_member_that_is_gone_quarantines_the_tool(tmp_path: Path) -> None:
    run = pins(tmp_path)
    run.look(Kind.TOOL, {"read_file": READ_FILE}, is_complete=True)
    without = {name: value for name, value in READ_FILE.items() if name != "annotations"}
    [change] = run.look(Kind.TOOL, {"read_file": without}, is_complete=True)
    assert change.difference == ('annotations: {"readOnlyHint": true} -> nothing',)


def test_implementations_may_say_what_they_like_in_meta(tmp_path: Path) -> None:
    run = pins(tmp_path)
    run.look(Kind.TOOL, {"read_file": READ_FILE}, is_complete=True)
    again = {**READ_FILE, "_meta": {"example.org/seen": 2}}
    assert run.look(Kind.TOOL, {"read_file": again}, is_complete=True) == []


@pytest.mark.parametrize(
    ("kind", "name", "first", "then", "difference"),
    [
        (
            *(Kind.SERVER, "", {"instructions": "Be careful"}, {"instructions": "Be quick"}),
            "instructions: 'Be careful' -> 'Be quick'",
        ),
        (Kind.SERVER, "", {}, {"instructions": "Be quick"}, "instructions: nothing -> 'Be quick'"),
        (
            *(Kind.PROMPT, "sum", {"name": "sum", "arguments": []}, {"name": "sum", "arguments": [{"name": "key"}]}),
            'arguments: [] -> [{"name": "key"}]',
        ),
    ],
)
def test_instructions_and_prompts_are_pinned_too(
    tmp_path: Path, kind: Kind, name: str, first: dict[str, Any], then: dict[str, Any], difference: str
) -> None:
    run = pins(tmp_path)
    assert run.look(kind, {name: first}, is_complete=True) == []
    assert [change.difference for change in run.look(kind, {name: then}, is_complete=True)] == [(difference,)]
    assert _why(run.quarantined(kind, name)) == "changed"


def test_a_change_is_told_once_by_each_run(tmp_path: Path) -> None:
    run = first_use(tmp_path, "echo")
    evil = named("echo", description="Says it to others")
    for run_now in (run, pins(tmp_path)):
        looks = [run_now.look(Kind.TOOL, seen, is_complete=True) for seen in (evil, evil, named("echo"), evil)]
        assert [len(changes) for changes in looks] == [1, 0, 0, 0]
        assert _why(run_now.quarantined(Kind.TOOL, "echo")) == "changed"


def test_a_tool_that_is_again_what_is_pinned_is_trusted_again(tmp_path: Path) -> None:
    run = first_use(tmp_path, "echo")
    run.look(Kind.TOOL, named("echo", description="Evil"), is_complete=True)
    run.look(Kind.TOOL, named("echo"), is_complete=True)
    assert run.quarantined(Kind.TOOL, "echo") is None
    assert _approve(tmp_path) == []


def test_what_appears_after_a_complete_list_is_quarantined_in_this_run_and_the_next(tmp_path: Path) -> None:
    run = first_use(tmp_path, "echo")
    [change] = run.look(Kind.TOOL, named("echo", "send"), is_complete=True)
    offered = Definition.of(named("send")["send"]).sha256
    lines = ("description: 'Says something'", "name: 'send'")
    assert change == Change(Kind.TOOL, "send", "added", None, offered, lines)
    assert pins(tmp_path).quarantined(Kind.TOOL, "send") == change
    assert pins(tmp_path).quarantined(Kind.TOOL, "echo") is None


def test_a_tool_under_a_new_name_is_quarantined_in_the_next_run(tmp_path: Path) -> None:
    first_use(tmp_path, "echo")
    run = pins(tmp_path)
    assert [change.why for change in run.look(Kind.TOOL, named("echo2"), is_complete=True)] == ["added"]


def test_removing_and_adding_again_does_not_evade_the_pin(tmp_path: Path) -> None:
    run = first_use(tmp_path, "echo", "send")
    assert run.look(Kind.TOOL, named("echo"), is_complete=True) == []
    evil = named("echo") | named("send", description="Sends it to others")
    assert [change.why for change in pins(tmp_path).look(Kind.TOOL, evil, is_complete=True)] == ["changed"]


def test_a_name_that_was_never_listed_is_quarantined_once_its_kind_is_settled(tmp_path: Path) -> None:
    run = pins(tmp_path)
    assert run.quarantined(Kind.TOOL, "send") is None
    run.look(Kind.TOOL, named("echo"), is_complete=True)
    change = Change(Kind.TOOL, "send", "added", None, "", ("the server has not listed it yet",))
    assert run.quarantined(Kind.TOOL, "send") == change
    assert run.quarantined(Kind.PROMPT, "send") is None


def test_every_page_of_a_first_list_is_first_use(tmp_path: Path) -> None:
    run = pins(tmp_path)
    pages = [run.look(Kind.TOOL, named(name), is_complete=name == "c") for name in "abc"]
    assert pages == [[], [], []]
    assert [change.name for change in run.look(Kind.TOOL, named("d"), is_complete=False)] == ["d"]


def test_a_list_that_never_ends_is_a_first_use_in_one_run_only(tmp_path: Path) -> None:
    run = pins(tmp_path)
    assert [run.look(Kind.TOOL, named(name), is_complete=False) for name in ("echo", "wait")] == [[], []]
    run = pins(tmp_path)
    assert [change.why for change in run.look(Kind.TOOL, named("send"), is_complete=False)] == ["added"]
    assert run.look(Kind.PROMPT, named("sum"), is_complete=False) == []


def test_a_list_of_nothing_leaves_the_first_use_to_come(tmp_path: Path) -> None:
    run = pins(tmp_path)
    assert run.look(Kind.TOOL, {}, is_complete=True) == []
    assert run.look(Kind.TOOL, named("echo"), is_complete=True) == []
    assert run.quarantined(Kind.TOOL, "echo") is None


def test_where_approval_is_required_nothing_is_trusted_by_itself(tmp_path: Path) -> None:
    run = pins(tmp_path, is_required=True)
    assert _why(run.quarantined(Kind.TOOL, "echo")) == "unapproved"
    changes = run.look(Kind.TOOL, named("echo", "send"), is_complete=True)
    assert [(change.name, change.why) for change in changes] == [("echo", "unapproved"), ("send", "unapproved")]
    assert _approve(tmp_path, "echo") == ["echo"]
    again = pins(tmp_path, is_required=True)
    again.look(Kind.TOOL, named("echo", "send"), is_complete=True)
    assert again.quarantined(Kind.TOOL, "echo") is None
    assert _why(again.quarantined(Kind.TOOL, "send")) == "unapproved"


def test_another_command_under_the_same_name_inherits_no_trust(tmp_path: Path) -> None:
    first_use(tmp_path, "echo")
    other = pins(tmp_path, origin='["npx","-y","@example/flies"]')
    [change] = other.look(Kind.TOOL, named("echo"), is_complete=True)
    assert change.why == "unapproved"
    assert change.difference[0] == "the server is known from another command or URL, and not trusted from this one"
    assert _why(other.quarantined(Kind.PROMPT, "sum")) == "unapproved"


def test_what_is_approved_from_another_command_settles_it_and_leaves_the_first_alone(tmp_path: Path) -> None:
    first_use(tmp_path, "echo")
    other = pins(tmp_path, origin='["other"]')
    other.look(Kind.TOOL, named("echo", "send"), is_complete=True)
    assert _approve(tmp_path, "echo") == ["echo"]
    other = pins(tmp_path, origin='["other"]')
    assert other.quarantined(Kind.TOOL, "echo") is None
    assert _why(other.quarantined(Kind.TOOL, "send")) == "added"
    assert _why(other.quarantined(Kind.PROMPT, "sum")) == "added"
    first = pins(tmp_path)
    assert first.quarantined(Kind.TOOL, "echo") is None
    assert first.look(Kind.PROMPT, named("sum"), is_complete=True) == []


def test_another_command_is_a_first_use_where_nothing_was_pinned(tmp_path: Path) -> None:
    pins(tmp_path, origin='["other"]', is_required=True).look(Kind.TOOL, named("echo"), is_complete=True)
    assert pins(tmp_path).look(Kind.TOOL, named("echo"), is_complete=True) == []


def test_servers_do_not_share_pins(tmp_path: Path) -> None:
    first_use(tmp_path, "echo")
    other = pins(tmp_path, "mail")
    assert other.look(Kind.TOOL, named("echo", description="Mails"), is_complete=True) == []


def test_a_running_gateway_notices_an_approval(tmp_path: Path) -> None:
    run = first_use(tmp_path, "echo")
    run.look(Kind.TOOL, named("echo", description="Better") | named("send"), is_complete=True)
    assert _approve(tmp_path, "echo") == ["echo"]
    wait_until(lambda: run.quarantined(Kind.TOOL, "echo") is None)
    assert _why(run.quarantined(Kind.TOOL, "send")) == "added"


def test_who_still_offers_what_was_pinned_before_an_approval_is_quarantined(tmp_path: Path) -> None:
    old, new = first_use(tmp_path, "echo"), pins(tmp_path)
    new.look(Kind.TOOL, named("echo", description="Better"), is_complete=True)
    assert _approve(tmp_path) == ["echo"]
    wait_until(lambda: new.quarantined(Kind.TOOL, "echo") is None)
    wait_until(lambda: old.quarantined(Kind.TOOL, "echo") is not None)
    change = old.quarantined(Kind.TOOL, "echo")
    assert change
    assert (change.why, change.difference) == ("changed", ("another definition was approved meanwhile",))


def test_an_approval_is_of_what_is_offered_last(tmp_path: Path) -> None:
    run = first_use(tmp_path, "echo")
    for description in ("Better", "Best"):
        run.look(Kind.TOOL, named("echo", description=description), is_complete=True)
    _approve(tmp_path)
    assert pins(tmp_path).look(Kind.TOOL, named("echo", description="Best"), is_complete=True) == []
    assert len(pins(tmp_path).look(Kind.TOOL, named("echo", description="Better"), is_complete=True)) == 1


def test_a_lock_file_that_cannot_be_read_quarantines_everything_until_it_can(tmp_path: Path) -> None:
    first_use(tmp_path, "echo")
    file = lock_file(tmp_path)
    good = file.read_bytes()
    file.write_bytes(b"{")
    run = pins(tmp_path)
    [change] = run.look(Kind.TOOL, named("echo"), is_complete=True)
    assert (change.why, change.pinned_sha256) == ("unwritable", None)
    reason = f"the pins {str(file)!r} cannot be used: line 1 is not JSON; restore it, or remove it to pin anew"
    assert change.difference == (reason,)
    assert _why(run.quarantined(Kind.PROMPT, "never seen")) == "unwritable"
    assert file.read_bytes() == b"{"
    file.write_bytes(good)
    wait_until(lambda: run.quarantined(Kind.TOOL, "echo") is None)


def test_a_first_use_that_cannot_be_written_down_is_no_trust(tmp_path: Path) -> None:
    lock_file(tmp_path).with_suffix(".lock").mkdir()
    run = pins(tmp_path)
    [change] = run.look(Kind.TOOL, named("echo"), is_complete=True)
    assert change.why == "unwritable"
    assert "cannot be written: Is a directory" in change.difference[-1]
    assert run.quarantined(Kind.TOOL, "echo") == change


def test_what_is_pinned_is_trusted_where_nothing_can_be_written(tmp_path: Path) -> None:
    first_use(tmp_path, "echo", "send")
    lock = lock_file(tmp_path).with_suffix(".lock")
    lock.unlink()
    lock.mkdir()
    run = pins(tmp_path)
    changes = run.look(Kind.TOOL, named("echo") | named("send", description="Evil"), is_complete=True)
    assert [(change.name, change.why) for change in changes] == [("send", "changed")]
    assert run.quarantined(Kind.TOOL, "echo") is None


def test_a_lock_file_that_is_removed_is_a_first_use_at_the_next_list(tmp_path: Path) -> None:
    run = first_use(tmp_path, "echo")
    lock_file(tmp_path).unlink()
    wait_until(lambda: run.quarantined(Kind.TOOL, "echo") is not None)
    assert run.look(Kind.TOOL, named("echo"), is_complete=True) == []
    assert run.quarantined(Kind.TOOL, "echo") is None
    assert lock_file(tmp_path).exists()


def test_a_definition_beyond_the_bound_is_never_trusted(tmp_path: Path) -> None:
    run = pins(tmp_path)
    huge = named("echo", description="x" * MAX_DEFINITION)
    [change] = run.look(Kind.TOOL, huge | named("send"), is_complete=True)
    assert (change.name, change.why) == ("echo", "added")
    assert (
        change.difference[0] == f"{Definition.of(huge['echo']).size} bytes, and at most {MAX_DEFINITION} can be pinned"
    )
    assert _approve(tmp_path) == []
    assert run.quarantined(Kind.TOOL, "send") is None


def test_ten_thousand_definitions_are_pinned_and_no_more(tmp_path: Path) -> None:
    run = pins(tmp_path)
    run.look(Kind.TOOL, named(*(f"t{number}" for number in range(10_000))), is_complete=False)
    changes = run.look(Kind.TOOL, named("late", "later"), is_complete=True)
    reason = ("the server has more than 10000 names",)
    assert [(change.why, change.difference) for change in changes] == [("unwritable", reason)] * 2
    assert run.quarantined(Kind.TOOL, "t9999") is None
    assert _why(run.quarantined(Kind.TOOL, "never seen")) == "unwritable"
    assert _why(pins(tmp_path).quarantined(Kind.TOOL, "late")) == "added"


def test_a_server_that_never_stops_to_change_fills_no_disk(tmp_path: Path) -> None:
    run = first_use(tmp_path, "echo")
    for number in range(24):
        evil = named(f"t{number}", description="x" * 1_000_000)
        assert len(run.look(Kind.TOOL, evil, is_complete=True)) == 1
    assert lock_file(tmp_path).stat().st_size < 17 * 1024 * 1024
    assert all(run.quarantined(Kind.TOOL, f"t{number}") for number in range(24))


def test_a_definition_beyond_the_canonical_profile_is_pinned_like_any_other(tmp_path: Path) -> None:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(100):
        deep = {"properties": {"x": deep}}
    wide = {"name": "echo", "inputSchema": deep, "maximum": 2**80, "minimum": 1e20}
    assert pins(tmp_path).look(Kind.TOOL, {"echo": wide}, is_complete=True) == []
    run = pins(tmp_path)
    assert run.look(Kind.TOOL, {"echo": wide}, is_complete=True) == []
    assert len(run.look(Kind.TOOL, {"echo": {**wide, "maximum": 2**80 + 1}}, is_complete=True)) == 1


def test_the_lock_file_stands_beside_the_policy_whatever_the_directory_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_path(Path("work/policy.yaml")) == tmp_path / "work" / "policy.pins.json"
    assert default_path(Path("~/p.yml")) == tmp_path / "home" / "p.pins.json"


def test_no_secret_of_a_command_reaches_the_file(tmp_path: Path) -> None:
    for origin in ('["/opt/bin/server","--token","s3cret"]', "https://user:s3cret@example.org/mcp?key=s3cret", ORIGIN):
        pins(tmp_path, origin=origin, is_required=True).look(Kind.TOOL, named("echo"), is_complete=True)
    text = lock_file(tmp_path).read_text(encoding="utf-8")
    assert "s3cret" not in text
    programs = {line.strip() for line in text.splitlines() if "program" in line}
    assert programs == {'"program": "npx",', '"program": "example.org",', '"program": "server",'}
