"""Where logins are kept: ours alone at every instant, whole after a crash, refused where others could touch it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from aegis_mcp.errors import ConfigError
from aegis_mcp.upstream.credentials import MAX_FILE, CredentialFile, Credentials, directory_from

URL: Final = "https://host.example/mcp"
OLD: Final = Credentials(client={"client_id": "a"}, tokens={"access_token": "old" * 1000}, expires_at=1.5)
NEW: Final = Credentials(client={"client_id": "a"}, tokens={"access_token": "new" * 2000}, challenge="Bearer")
NOBODY: Final = 65534

# Replaces the credentials as often as it is told to.
WRITER: Final = """
import os, sys
from pathlib import Path
from aegis_mcp.upstream.credentials import CredentialFile, Credentials
os.umask(0)
file = CredentialFile(Path(sys.argv[1]), "tickets", sys.argv[2])
for number in range(int(sys.argv[3])):
    file.write(Credentials(client={"client_id": "a"}, tokens={"access_token": "new" * 2000}, challenge="Bearer"))
"""


def _file(directory: Path, url: str = URL) -> CredentialFile:
    return CredentialFile(directory / "oauth", "tickets", url)


def _writer(directory: Path, times: int) -> tuple[str, ...]:
    return (sys.executable, "-c", WRITER, str(directory / "oauth"), URL, str(times))


def _refusal(file: CredentialFile) -> str:
    with pytest.raises(ConfigError) as caught:
        file.read()
    return str(caught.value)


def test_what_is_kept_is_read_back_whole(tmp_path: Path) -> None:
    _file(tmp_path).write(OLD)
    _file(tmp_path).write(NEW)
    assert _file(tmp_path).read() == NEW


def test_what_could_not_be_read_back_is_not_kept_and_what_was_there_stays(tmp_path: Path) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    room = MAX_FILE - file.path.stat().st_size + len("old" * 1000)
    file.write(_login(room))
    assert (file.read(), file.path.stat().st_size) == (_login(room), MAX_FILE)
    with pytest.raises(ConfigError) as caught:
        file.write(_login(room + 1))
    too_large = f"what is to be kept there is larger than {MAX_FILE} bytes"
    assert str(caught.value) == f"the credentials {str(file.path)!r} cannot be used: {too_large}"
    assert file.read() == _login(room)
    assert [path.name for path in file.path.parent.iterdir()] == ["tickets.json"]


def _login(size: int) -> Credentials:
    """Return the old login with a token of this size."""
    return replace(OLD, tokens={"access_token": "x" * size})


def test_nothing_is_kept_at_first_and_after_it_was_removed(tmp_path: Path) -> None:
    file = _file(tmp_path)
    assert (file.read(), file.remove()) == (Credentials(), False)
    file.write(OLD)
    assert (file.remove(), file.read()) == (True, Credentials())


def test_what_belongs_to_another_address_is_passed_over(tmp_path: Path) -> None:
    _file(tmp_path).write(OLD)
    assert _file(tmp_path, "https://evil.example/mcp").read() == Credentials()


def test_credentials_do_not_show_themselves() -> None:
    assert (repr(OLD), str(OLD)) == ("Credentials(…)", "Credentials(…)")


def test_the_directory_is_chosen_by_the_environment(tmp_path: Path) -> None:
    assert directory_from({"DCR_STORAGE_PATH": str(tmp_path)}) == tmp_path
    with pytest.raises(ConfigError, match="no home directory for '~nobody-here', which DCR_STORAGE_PATH names"):
        directory_from({"DCR_STORAGE_PATH": "~nobody-here"})


@pytest.mark.strace
def test_it_is_for_its_owner_alone_at_every_instant_whatever_the_umask_says(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "trace=openat,mkdir,mkdirat,chmod,fchmod,fchmodat,rename,renameat,renameat2,fsync,fdatasync"
    command = ("strace", "-f", "-y", "-qq", "-o", str(trace), "-e", calls, *_writer(tmp_path, 2))
    subprocess.run(command, check=True, timeout=60)
    lines = [line for line in trace.read_text(encoding="utf-8").splitlines() if str(tmp_path / "oauth") in line]
    made = [re.findall(r"0[0-7]{3}", line)[-1] for line in lines if "O_CREAT" in line or "mkdir" in line]
    assert set(made) <= {"0600", "0700"}
    assert not [line for line in lines if "chmod" in line]
    names = [re.search(r"(fsync|rename)", line) for line in lines]
    order = [name[1] for name in names if name]
    assert order == ["fsync", "rename", "fsync"] * 2  # the file, its name, the directory
    assert [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "oauth", tmp_path / "oauth" / "tickets.json")] == [
        "0o700",
        "0o600",
    ]


def test_the_directories_above_it_that_are_missing_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    subprocess.run(_writer(tmp_path / "a" / "b", 1), check=True, timeout=60)
    above = (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "oauth")
    assert [oct(path.stat().st_mode & 0o777) for path in above] == ["0o700"] * 3


@pytest.mark.strace
@pytest.mark.parametrize("removes", [False, True])
def test_what_a_crash_has_left_of_tokens_is_removed_with_the_next_change(tmp_path: Path, *, removes: bool) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    inject = ("-e", "trace=fsync", "-e", "inject=fsync:signal=SIGKILL:when=1")
    command = ("strace", "-f", "-qq", "-o", "/dev/null", *inject, *_writer(tmp_path, 1))
    subprocess.run(command, check=False, capture_output=True, timeout=60)
    others = [file.path.with_name(name) for name in (".tickets.json.json.abcdefgh", ".tickets.json.abc")]
    for other in others:
        other.touch()
    assert len(list(file.path.parent.iterdir())) == 4
    if removes:
        assert file.remove()
    else:
        file.write(NEW)
    assert set(file.path.parent.iterdir()) == {*others, *([] if removes else [file.path])}


@pytest.mark.strace
@pytest.mark.parametrize("what", ["signal=SIGKILL", "error=EIO", "error=ENOSPC"])
@pytest.mark.parametrize("call", ["openat", "write", "fsync", "rename"])
def test_a_crash_at_any_point_leaves_the_old_or_the_new_whole(tmp_path: Path, call: str, what: str) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    only = ("-P", str(file.path.parent), "-P", str(file.path))
    inject = ("-e", f"trace={call}", "-e", f"inject={call}:{what}:when=1")
    command = ("strace", "-f", "-qq", "-o", "/dev/null", *only, *inject, *_writer(tmp_path, 1))
    subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert file.read() in (OLD, NEW)
    file.write(NEW)
    assert file.read() == NEW


def test_it_can_be_read_at_any_moment_while_it_is_written(tmp_path: Path) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    seen: set[str] = set()
    with subprocess.Popen(_writer(tmp_path, 300)) as writer:
        while writer.poll() is None:
            tokens = file.read().tokens
            assert tokens
            seen.add(tokens["access_token"][:3])
            assert _modes(file.path.parent) <= {0o600}
    assert seen <= {"old", "new"}
    assert writer.returncode == 0


def _modes(directory: Path) -> set[int]:
    modes: set[int] = set()
    for path in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # a new file that has just taken the place of the old one
            modes.add(path.lstat().st_mode & 0o777)
    return modes


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o610])
def test_a_file_that_others_could_open_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    file.path.chmod(mode)
    assert f"is open to others (mode {mode:04o}); after making sure that nobody has used it: chmod 600" in _refusal(
        file
    )


@pytest.mark.parametrize("mode", [0o755, 0o711, 0o770])
def test_a_directory_that_others_could_enter_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    file.path.parent.chmod(mode)
    assert f"(mode {mode:04o})" in _refusal(file)
    with pytest.raises(ConfigError, match="chmod 700"):
        file.write(NEW)


def test_a_symlink_is_refused_as_a_file_and_as_a_directory(tmp_path: Path) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    elsewhere = tmp_path / "elsewhere.json"
    file.path.rename(elsewhere)
    file.path.symlink_to(elsewhere)
    assert "it is a symlink" in _refusal(file)
    (tmp_path / "oauth").rename(tmp_path / "real")
    (tmp_path / "oauth").symlink_to(tmp_path / "real")
    assert "is a symlink" in _refusal(file)


@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_belongs_to_another_owner_is_refused(tmp_path: Path, what: str) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    theirs = file.path if what == "file" else file.path.parent
    if os.geteuid() == 0:
        os.chown(theirs, NOBODY, NOBODY)
        assert f"belongs to the user {NOBODY}" in _refusal(file)
    else:  # only root can give a file away, but its own are not ours
        assert "belongs to the user 0" in _refusal(CredentialFile(Path("/usr"), "tickets", URL))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"5",
        b"[" * 100_000,
        b"\xff",
        b'{"version":1}',
        b'{"version":2,"url":"x"}',
        b'{"version":1,"url":"x","tokens":[]}',
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    file.path.write_bytes(content)
    assert "`aegis-mcp logout tickets` removes it" in _refusal(file)
    assert file.path.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "value"), [("tokens", []), ("expires_at", "soon"), ("expires_at", True), ("challenge", 7)]
)
def test_a_file_with_something_else_in_it_is_refused(tmp_path: Path, name: str, value: object) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    file.path.write_text(json.dumps(json.loads(file.path.read_bytes()) | {name: value}), encoding="utf-8")
    assert "it is not a file of this version of Aegis" in _refusal(file)


def test_a_fifo_in_the_place_of_the_file_does_not_hold_anybody_up(tmp_path: Path) -> None:
    file = _file(tmp_path)
    file.write(OLD)
    file.path.unlink()
    os.mkfifo(file.path, 0o600)
    assert "it is not a file" in _refusal(file)


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "oauth").write_text("")
    assert "is not a directory; name one in DCR_STORAGE_PATH" in _refusal(_file(tmp_path))
