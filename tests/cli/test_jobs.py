"""Several processes verify one log: they say what one says, and none of them is left behind."""

from __future__ import annotations

import gzip
import signal
import subprocess
from pathlib import Path

import pytest

from support.auditor import COMMAND, WAIT_SECONDS, audit, environment
from support.logs import LogBuilder, small_log, write
from support.processes import children_of, is_alive, wait_until


@pytest.fixture(scope="module")
def segments() -> list[bytes]:
    """Return a log in three segments, of which the middle one has several parts."""
    log = LogBuilder()
    log.open_log()
    rotated: list[bytes] = []
    for calls in (200, 6000, 200):
        for number in range(calls):
            log.call(number)
        rotated.append(b"".join(log.rotate()))
    return rotated


@pytest.mark.parametrize("edited", [None, 100_000, 5_000_000])
def test_several_processes_say_what_one_says(tmp_path: Path, segments: list[bytes], edited: int | None) -> None:
    first, middle, last = segments
    if edited is not None:
        at = middle.index(b'"reads"', edited)
        middle = middle[:at] + b'"write"' + middle[at + 7 :]
    assert len(middle) > 5_000_000
    write(tmp_path / "audit.log.2.gz", [gzip.compress(first)])
    write(tmp_path / "audit.log.1", [middle])
    write(tmp_path / "audit.log", [last])
    one, three = (audit("verify", "--jobs", jobs, "--format", "json", tmp_path) for jobs in ("1", "3"))
    assert three == one
    assert one.status == (0 if edited is None else 1)


@pytest.mark.parametrize(("ending", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_process_outlives_the_command(tmp_path: Path, ending: signal.Signals, status: int) -> None:
    log = write(tmp_path / "audit.log", small_log(1))
    with log.open("r+b") as file:
        file.truncate(64 << 30)  # a hole: it takes no room, and longer to read than anybody waits
    with subprocess.Popen(
        (*COMMAND, "verify", "--jobs", "2", log),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        workers: set[int] = set()
        try:
            wait_until(lambda: bool(workers.update(children_of(process.pid))) or len(workers) >= 2)
            process.send_signal(ending)
            _, said = process.communicate(timeout=WAIT_SECONDS)
        finally:
            process.kill()
    assert process.returncode == status
    assert ending == signal.SIGKILL or said == b""
    wait_until(lambda: not any(map(is_alive, workers)))
