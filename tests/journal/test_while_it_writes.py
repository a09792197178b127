"""What happens to a log in the middle of an append or of a rotation: no number is given twice, nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from aegis_audit.verify import verify
from aegis_mcp.errors import AuditUnavailable
from support.journals import append, entries, is_strict_chain, journal, log_of, numbers

# Appends entries to a signed log that is rotated when it is full, while something is done to it: each time something
# of these kinds is about to be done to a file whose name ends like this, until that was so often.
WRITER: Final = """
import os, shutil, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from aegis_mcp.settings import Rotation
from support.journals import append, journal, log_of
from support.signatures import signed_journal
directory, kinds, name, act, size = Path(sys.argv[2]), *sys.argv[3:7]
log = log_of(directory)
left = int(sys.argv[7])

def gone():
    shutil.copy(log, log.with_suffix(f".log.{left}"))
    log.unlink()

def gone_and_made_anew():
    gone()
    log.touch(mode=0o600)

def cut():
    shutil.copy(log, log.with_suffix(f".log.{left}"))
    os.truncate(log, 0)

def meanwhile(event, args):
    global left
    if left and event in kinds.split() and str(args[0]).endswith(name) and log.exists():
        left -= 1
        held, left = left, 0
        globals()[act]()
        left = held

writer = signed_journal(directory, Rotation(max_bytes=int(size), keep_segments=9))
append(writer, 1)
append(writer, 2)
if name == "logs":
    log.rename(log.with_suffix(".log.first"))
sys.addaudithook(meanwhile)
for number in range(3, 9):
    append(writer, number)
print(left, end="")
"""


def _segments(log: Path) -> list[Path]:
    found = [path for path in log.parent.glob("audit.log*") if path.stat().st_size]
    return sorted(found, key=lambda path: entries(path)[0].seq)


@pytest.mark.parametrize("act", ["gone", "gone_and_made_anew", "cut"])
@pytest.mark.parametrize(
    ("kinds", "name", "size", "times"),
    [
        pytest.param("os.rename", "audit.log", 2000, 1, id="before it is renamed by the writer"),
        pytest.param("os.listdir os.scandir", "logs", 2000, 1, id="before what is not kept is looked for"),
        pytest.param("os.rename", ".new", 2000, 1, id="before a key is handed over"),
        pytest.param("open", "logs", 10**9, 1, id="while a segment is opened"),
        pytest.param("open", "logs", 10**9, 3, id="while a segment is opened, again and again"),
    ],
)
def test_what_happens_to_a_log_while_it_is_gone_on_with_loses_nothing(
    tmp_path: Path, kinds: str, name: str, size: int, times: int, act: str
) -> None:
    arguments = (str(Path(__file__).parents[1]), str(tmp_path), kinds, name, act, str(size), str(times))
    done = subprocess.run([sys.executable, "-c", WRITER, *arguments], check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert int(done.stdout) < times
    segments = _segments(log_of(tmp_path))
    assert is_strict_chain(*segments)
    assert numbers(*segments) == list(range(1, 9))
    assert verify(list(map(str, segments))).verdict.exit_code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_what_does_not_fit_into_the_tail_is_not_acknowledged(tmp_path: Path) -> None:
    import resource  # noqa: PLC0415 - Windows has none

    writer, log = journal(tmp_path), log_of(tmp_path)
    append(writer, 1, 2, 3)
    old = log.rename(log.with_suffix(".log.1"))
    append(writer, 4)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((log.with_suffix(".tlog") / "tail").stat().st_size + 100, hard))
    try:
        with pytest.raises(AuditUnavailable):
            append(writer, 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    append(writer, 6)
    assert is_strict_chain(old, log)
    assert numbers(old, log) == [1, 2, 3, 4, 6]
