"""No spelling of a path gets past a rule: neither into what one allows, nor around what one denies."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aegis_mcp.decision import Request
from aegis_mcp.policy import loader
from aegis_mcp.policy.evaluation import decide

ALLOWING = "{{id: in, match: {{tool: write, arguments: {{path: {{within: {}}}}}}}, effect: allow}}"
DENYING = "{{id: out, match: {{tool: write, arguments: {{path: {{within: {}}}}}}}, effect: deny}}"


def _deciding(rule: str, directory: Path, path: object) -> str:
    text = (
        f"version: 1\ndefaults: {{write: {'allow' if rule is DENYING else 'deny'}}}\nrules: [{rule.format(directory)}]"
    )
    policy = loader.load(text.encode(), "p.yaml")
    return decide(policy, Request("files", "tools/call", tool="write", arguments={"path": path})).rule


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("in/sub", "other/sub"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "other" / "to_in_sub").symlink_to(tmp_path / "in" / "sub")
    (tmp_path / "in" / "to_other_sub").symlink_to(tmp_path / "other" / "sub")
    (tmp_path / "in" / "loop").symlink_to("loop")
    return tmp_path


INSIDE = ["in", "in/", "in/a", "in//a", "in/sub/../a", "other/to_in_sub/a", "other/../in/a"]
OUTSIDE = ["other/a", "ina", "in/../other/a", "in/to_other_sub/a", ""]
UNCERTAIN = [
    *("in/a ", "in/a'", 'in/a"', "in/a\n", "in/a\0", "in/a\ufeff", "in/\x7f/a"),  # a server may strip what ends a text
    *("in/to_other_sub/../a", "other/to_in_sub/../a"),  # whose parent is meant, the link's or its target's?
    *("in/loop", "in/loop/a", "in/" + "x" * 300, "in/\udcff/\ud800"),  # the way cannot be followed
    "in/" + "./" * 2048 + "a",  # to follow it takes long, and what is longer takes hours
]


@pytest.mark.parametrize("path", INSIDE)
def test_what_is_inside_is_allowed_and_denied_as_such(tree: Path, path: str) -> None:
    assert _deciding(ALLOWING, tree / "in", f"{tree}/{path}") == "in"
    assert _deciding(DENYING, tree / "in", f"{tree}/{path}") == "out"


@pytest.mark.parametrize("path", OUTSIDE)
def test_what_is_outside_is_neither(tree: Path, path: str) -> None:
    assert _deciding(ALLOWING, tree / "in", f"{tree}/{path}") == "defaults.write"
    assert _deciding(DENYING, tree / "in", f"{tree}/{path}") == "defaults.write"


@pytest.mark.parametrize("path", UNCERTAIN)
def test_what_cannot_be_told_is_never_allowed_and_always_denied(tree: Path, path: str) -> None:
    assert _deciding(ALLOWING, tree / "in", f"{tree}/{path}") == "defaults.write"
    assert _deciding(DENYING, tree / "in", f"{tree}/{path}") == "out"


@pytest.mark.parametrize(
    "path",
    ["in/a", "", "~/in/a", "../in/a", "file:///in/a", 7, None, True, {"path": "/in"}, [["/in"]]]
    + [f"{start}/proc/self/cwd/a" for start in ("", "/", "/.", "/x/..", "//x/../..")]
    + ["/proc/self/root/a", "/dev/fd/3", "/dev/stdin", "/proc"],
)
def test_what_is_no_path_that_all_processes_share_is_never_allowed_and_always_denied(path: object) -> None:
    assert _deciding(ALLOWING, Path("/"), path) == "defaults.write"
    assert _deciding(DENYING, Path("/"), path) == "out"


def test_a_list_is_allowed_if_all_of_it_is_inside_and_denied_if_any_is(tree: Path) -> None:
    inside, outside = f"{tree}/in/a", f"{tree}/other/a"
    assert _deciding(ALLOWING, tree / "in", [inside, inside]) == "in"
    assert _deciding(ALLOWING, tree / "in", [inside, outside]) == "defaults.write"
    assert _deciding(DENYING, tree / "in", [outside, inside]) == "out"
    assert _deciding(DENYING, tree / "in", [outside, outside]) == "defaults.write"
    assert _deciding(ALLOWING, tree / "in", [inside] * 10_001) == "defaults.write"
    assert _deciding(DENYING, tree / "in", [outside] * 10_001) == "out"
    assert _deciding(ALLOWING, tree / "in", []) == _deciding(DENYING, tree / "in", []) == "defaults.write"


def test_the_directory_of_a_rule_may_be_a_link_and_need_not_exist_yet(tree: Path) -> None:
    assert _deciding(ALLOWING, tree / "other" / "to_in_sub", f"{tree}/in/sub/a") == "in"
    assert _deciding(ALLOWING, tree / "later", f"{tree}/later/a") == "in"


def test_home_stands_for_the_home_directory_of_the_operator(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    assert _deciding(ALLOWING, Path("~/in"), f"{tree}/in/a") == "in"


@pytest.mark.mount
def test_a_directory_is_known_by_what_it_is_and_not_by_its_name(tree: Path) -> None:
    """As where a file system ignores case: two names, one directory."""
    alias = tree / "alias"
    alias.mkdir()
    subprocess.run(["mount", "--bind", str(tree / "in"), str(alias)], check=True, timeout=10)
    try:
        assert _deciding(ALLOWING, tree / "in", f"{alias}/sub/a") == "in"
        assert _deciding(DENYING, tree / "in", f"{alias}/sub/a") == "out"
    finally:
        subprocess.run(["umount", str(alias)], check=True, timeout=10)
