"""The edges of `aegis-audit`: help, version, wrong usage, outputs that are closed, full or not in UTF-8, Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from support.auditor import COMMAND, WAIT_SECONDS, Outcome, audit, environment
from support.logs import LogBuilder, small_log, write

COMMANDS = ("compare", "consistency", "head", "inspect", "keygen", "prove", "repair", "summarize", "verify")
NEEDS_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes, signals and a shell")


def test_the_version_is_that_of_the_distribution() -> None:
    assert audit("--version") == Outcome(0, f"aegis-audit {version('aegis-mcp-audit')}\n", "")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_names_every_command_and_status(option: str) -> None:
    shown = audit(option)
    assert (shown.status, shown.stderr) == (0, "")
    commands = shown.stdout.partition("Commands:\n")[2].splitlines()
    assert tuple(line.split()[0] for line in commands) == COMMANDS
    assert [status for status in (0, 1, 2, 3, 4, 5, 6, 130, 141) if f"{status} " not in shown.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_of_a_command_fits_80_columns_and_ends_with_an_example(command: str, option: str) -> None:
    shown = audit(command, option)
    description, _, options = shown.stdout.partition("\n\nOptions:\n")
    assert (shown.status, shown.stderr) == (0, "")
    assert description.split("\n\n")[-1].startswith(f"  Example: aegis-audit {command} ")
    assert "-h, --help" in options
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_help_and_version_load_no_command() -> None:
    code = (
        "import sys; from aegis_audit.cli import cli; cli.main(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=WAIT_SECONDS
    )
    loaded = done.stdout.split("\n")[-2].split()
    assert {name for name in loaded if name.startswith(("rich", "orjson", "aegis_audit.cli."))} == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Usage: aegis-audit"),
        (("inspct",), "No such command 'inspct'."),
        (("inspect",), "Missing argument 'PATH...'."),
        (("inspect", "--colour", "x"), "No such option '--colour'."),
        (("inspect", "x", "--type", "tool"), "'tool' is not one of"),
        (
            ("inspect", "x", "--since", "yesterday"),
            "'yesterday' is no time; accepted are 2026-11-24, 2026-11-24T03:31:51Z",
        ),
        (("inspect", "x", "--until", "2026-02-30"), "'2026-02-30' is no time; accepted are"),
        (("inspect", "x", "--until", "0001-01-01T00:00:00+14:00"), "is no time; accepted are"),
        (("inspect", "x", "--since", "999999999w"), "'999999999w' is no time; accepted are"),
        (("inspect", "x", "--since", ""), "'' is no time; accepted are"),
        (("inspect", "x", "--session", "xyz"), "'xyz' is no start of an id; accepted are 1 to 32 hex digits"),
        (("inspect", "x", "--trace", "a" * 33), "is no start of an id"),
        (("inspect", "x", "--limit", "0"), "'--limit'"),
        (("inspect", "x", "--limit", "1", "--last", "1"), "--limit and --last exclude each other."),
        (("inspect", "-", "--follow"), "--follow takes one file."),
        (("inspect", "x", "y", "--follow"), "--follow takes one file."),
        (("inspect", ".", "--follow"), "--follow takes one file."),
        (("inspect", "x", "--follow", "--format", "json"), "take --format jsonl"),
        (("summarize", "x", "--format", "xml"), "'xml' is not one of 'text', 'json'."),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_right(arguments: tuple[str, ...], message: str) -> None:
    shown = audit(*arguments)
    assert (shown.status, shown.stdout) == (2, "")
    assert message in " ".join(shown.stderr.split())


def test_an_argument_is_escaped_in_a_message() -> None:
    shown = audit("inspect", "x", "--\x1b[31m\u202e")
    assert shown.status == 2
    assert r"--\x1b[31m\u202e" in shown.stderr
    assert shown.stderr.isascii()


@NEEDS_POSIX
def test_a_reader_that_has_gone_is_no_error_and_no_success(tmp_path: Path) -> None:
    log = write(tmp_path / "audit.log", small_log(2000))
    with running("inspect", log) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().split()[:2] == [b"SEQ", b"TIME"]
        process.stdout.close()
        assert process.wait(WAIT_SECONDS) == 141
        assert process.stderr.read() == b""


@NEEDS_POSIX
def test_ctrl_c_is_quiet_even_if_nobody_reads_on(tmp_path: Path) -> None:
    log = write(tmp_path / "audit.log", small_log(2000))
    with running("inspect", log) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_SECONDS) == 130
        assert process.stderr.read() == b""


@contextmanager
def running(*arguments: str | Path) -> Generator[subprocess.Popen[bytes]]:
    """Run the command, and end it whatever happens."""
    with subprocess.Popen(
        (*COMMAND, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [("--help",), ("inspect", "{log}"), ("summarize", "{log}")])
def test_an_output_that_cannot_be_written_is_status_6(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    log = write(tmp_path / "audit.log", small_log())
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            (*COMMAND, *(argument.format(log=log) for argument in arguments)),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=WAIT_SECONDS,
            env=environment(),
        )
    assert done.returncode == 6
    assert done.stderr.splitlines()[-1] == b"aegis-audit: No space left on device"


@NEEDS_POSIX
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_a_closed_stream_does_not_change_the_status(tmp_path: Path, closed: str) -> None:
    log = write(tmp_path / "audit.log", [*small_log(), b"junk\n"])
    shell = f'exec "$@" {closed}'
    done = subprocess.run(
        ("sh", "-c", shell, "sh", *COMMAND, "inspect", log),
        capture_output=True,
        check=False,
        timeout=WAIT_SECONDS,
        env=environment(),
    )
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr


def test_an_output_that_is_not_utf8_shows_escapes(tmp_path: Path) -> None:
    builder = LogBuilder()
    builder.intent(0, tool="größe☃")
    log = write(tmp_path / "audit.log", builder.lines)
    shown = audit("inspect", log, env={"PYTHONIOENCODING": "ascii"})
    assert shown.status == 0
    assert r"gr\xf6\xdfe\u2603" in shown.stdout
