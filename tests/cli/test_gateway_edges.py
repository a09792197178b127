"""The edges of `aegis-mcp`: outputs that are closed, full or read by nobody, and paths that are none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from support.commands import run
from support.host import GATEWAY, environment

COMMANDS = (("--help",), ("--version",), ("policy", "check"), ("policy", "explain", "--server", "a", "--tool", "b"))
WAIT_SECONDS = 60


def _run(home: Path, stdout: int, *arguments: str) -> tuple[int, bytes]:
    done = subprocess.run(
        (*GATEWAY, *arguments),
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(home),
        check=False,
        timeout=WAIT_SECONDS,
    )
    return done.returncode, done.stderr


@pytest.fixture
def unread() -> Generator[int]:
    """Return the end to write to of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("arguments", [*COMMANDS, ("demo",)])
def test_a_reader_that_has_gone_is_no_error_and_no_success(
    tmp_path: Path, unread: int, arguments: tuple[str, ...]
) -> None:
    assert _run(tmp_path, unread, *arguments) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", COMMANDS)
def test_an_output_that_cannot_be_written_is_a_failure_with_its_reason(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    said = b"aegis-mcp: the output cannot be written: No space left on device\n"
    assert _run(tmp_path, full, *arguments) == (1, said)
    os.close(full)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_closed_output_does_not_change_the_status(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    command = ("sh", "-c", 'exec "$@" >&-', "sh", *GATEWAY, *arguments)
    done = subprocess.run(command, capture_output=True, env=environment(tmp_path), check=False, timeout=WAIT_SECONDS)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_argument_is_escaped_in_a_message(tmp_path: Path) -> None:
    for arguments in (("--\x1b[31m\u202e",), ("policy", "check", "--policy", "\x1b[31m\u202e")):
        shown = run(tmp_path, *arguments)
        assert shown.status == 2
        assert r"\x1b[31m\u202e" in shown.stderr
        assert shown.stderr.isascii()


@pytest.mark.parametrize("option", ["--policy", "--audit-log", "--workspace"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "the path is empty; give one, or leave the option out"),
        ("~nobody.here/x", "there is no home directory for '~nobody.here/x'"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_and_never_the_working_directory(
    tmp_path: Path, path: str, reason: str, option: str
) -> None:
    shown = run(tmp_path, option, path)
    assert (shown.status, shown.stdout) == (2, "")
    assert f"Invalid value for '{option}' (env var: 'AEGIS_" in shown.stderr
    assert shown.stderr.endswith(f"'): {reason}\n")


def test_a_workspace_that_cannot_be_made_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    shown = run(tmp_path, "workspace", "--workspace", str(tmp_path / "file"))
    assert (shown.status, shown.stdout) == (2, "")
    assert "cannot be made: File exists; give a folder of your own with --workspace or AEGIS_WORKSPACE" in shown.stderr


@pytest.mark.parametrize("name", ["", "a b", "Files", "n" * 33, "über"])
def test_a_server_is_called_on_the_command_line_what_a_policy_can_call_it(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, "wrap", "--name", name, "--", "true")
    assert (done.status, done.stdout) == (2, "")
    assert "take at most 32 of a-z, 0-9, _ and -" in done.stderr
