"""The embedded server over real pipes: its tools work, and nothing leads out of its root."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.host import RawHost, environment
from support.sdk import session, text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("Grüße\nsecond line\n", encoding="utf-8")
    (root / "sub" / "b.txt").write_text("another line\n", encoding="utf-8")
    (tmp_path / "outside.txt").write_text("outside", encoding="utf-8")
    return root


def _call(root: Path, tool: str, arguments: Mapping[str, str]) -> tuple[bool, str]:
    """Call a tool of a new server; return whether it failed, and its text."""
    command = (sys.executable, "-m", "aegis_mcp", "workspace", "--workspace", str(root))

    async def call() -> tuple[bool, str]:
        async with session(command, environment(root.parent)) as connected:
            result = await connected.call_tool(tool, dict(arguments))
            return bool(result.is_error), text(result)

    return asyncio.run(asyncio.wait_for(call(), 30))


def test_files_are_listed_read_and_searched(root: Path) -> None:
    assert _call(root, "list_files", {}) == (False, "a.txtsub/b.txt")
    assert _call(root, "read_file", {"path": "a.txt"}) == (False, "Grüße\nsecond line\n")
    assert _call(root, "search_files", {"text": "LINE"}) == (False, "a.txt:2: second linesub/b.txt:1: another line")


def test_a_file_is_written_and_deleted(root: Path) -> None:
    failed, said = _call(root, "write_file", {"path": "new/c.txt", "content": "ß"})
    assert (failed, said) == (False, "wrote 2 bytes to new/c.txt")
    assert (root / "new" / "c.txt").read_text(encoding="utf-8") == "ß"
    assert _call(root, "delete_file", {"path": "new/c.txt"}) == (False, "deleted new/c.txt")
    assert not (root / "new" / "c.txt").exists()


@pytest.mark.parametrize(
    "path", ["../outside.txt", "sub/../../outside.txt", "link.txt", "linked/outside.txt", "{out}", "a\0b"]
)
@pytest.mark.parametrize("tool", ["read_file", "write_file", "delete_file"])
def test_nothing_leads_out_of_the_root(root: Path, tool: str, path: str) -> None:
    outside = root.parent / "outside.txt"
    (root / "link.txt").symlink_to(outside)
    (root / "linked").symlink_to(root.parent)
    arguments = {"path": path.format(out=outside)} | ({"content": "x"} if tool == "write_file" else {})
    failed, _ = _call(root, tool, arguments)
    assert failed
    assert outside.read_text(encoding="utf-8") == "outside"


def test_what_is_no_text_is_refused_with_a_reason(root: Path) -> None:
    (root / "binary").write_bytes(b"\xff\xfe")
    (root / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    os.mkfifo(root / "fifo")
    reasons = {"binary": "not text", "large": "1048576", "fifo": "no file", "sub": "no file", "none": "no file"}
    for name, reason in reasons.items():
        failed, said = _call(root, "read_file", {"path": name})
        assert failed
        assert reason in said


def test_a_missing_root_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    assert _call(tmp_path / "deep" / "root", "list_files", {}) == (False, "")
    assert (tmp_path / "deep" / "root").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("tool", ["list_files", "read_file", "search_files", "write_file", "delete_file"])
def test_a_name_that_is_too_long_is_refused_and_not_quoted_on_stderr(root: Path, tool: str) -> None:
    command = (sys.executable, "-m", "aegis_mcp", "workspace", "--workspace", str(root))
    name = "long" * 100
    with RawHost(command, environment(root.parent)) as host:
        host.initialize()
        answer = host.call(tool, {"path": name, "folder": name, "content": "x", "text": "x"})
    assert answer["result"]["isError"] is True
    assert "is not a path" in answer["result"]["content"][0]["text"]
    assert host.stderr == b""
