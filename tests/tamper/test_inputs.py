"""What is no segment: nothing, nothing readable, or something that never ends."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from aegis_audit.verify import verify
from support.auditor import COMMAND, audit, environment
from support.logs import COMPRESSIONS, LogBuilder, small_log, write
from support.signed import LOG_KEY, signed_log

MEMORY: Final = 64 << 20
# A process of its own: what is forked off a large one counts as large itself.
_MEASURE: Final = """\
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


@pytest.mark.parametrize("options", [(), ("--from-genesis",)])
def test_what_is_empty_or_absent_is_never_valid(tmp_path: Path, options: tuple[str, ...]) -> None:
    write(tmp_path / "empty.log", [])
    for name in ("directory", "audit.tlog"):
        (tmp_path / name).mkdir()
    for name in ("empty.log", "directory", "audit.tlog", "absent.log", "absent*.log"):
        outcome = audit("verify", "--format", "json", *options, tmp_path / name)
        assert (outcome.status, outcome.json["exit_code"], outcome.stderr) == (5, 5, "")
        assert [finding["id"] for finding in outcome.json["findings"]] == ["AEG301"]
    assert audit("verify", "-").status == 5


def test_an_empty_name_is_absent_and_not_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "audit.log", small_log())
    monkeypatch.chdir(tmp_path)
    assert audit("verify", "--quiet", ".").status == 0
    assert audit("verify", "--quiet", "").status == 5


def test_a_log_whose_latest_entry_is_too_old_is_incomplete_and_an_age_that_is_none_is_wrong_usage(
    tmp_path: Path,
) -> None:
    for begun, status in ((datetime(2001, 1, 1, tzinfo=UTC), 4), (datetime.now(UTC), 0)):
        log = LogBuilder()
        log.now = begun
        log.open_log()
        path = write(tmp_path / "audit.log", log.lines)
        assert audit("verify", "--quiet", "--max-age", "1h", path).status == status
    assert audit("verify", "--quiet", path).status == 0
    assert audit("verify", "--quiet", "--max-age", "nonsense", path).status == 2


def test_what_is_neither_a_key_nor_a_file_is_said_to_be_neither(tmp_path: Path) -> None:
    outcome = audit("verify", "--key", "log.keys", write(tmp_path / "audit.log", small_log()))
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "neither a file nor a public key" in outcome.stderr


def test_a_file_of_keys_is_read_whole_or_refused(tmp_path: Path) -> None:
    log, key = write(tmp_path / "audit.log", signed_log(1).lines), str(LOG_KEY.verifier)
    for length, status in ((65_536, 0), (65_537, 2)):
        (tmp_path / "keys").write_text(f"{'#' * (length - len(key) - 1)}\n{key}", encoding="ascii")
        assert audit("verify", "--quiet", "--require", "a1", "--key", tmp_path / "keys", log).status == status


def test_a_private_key_in_the_place_of_a_public_one_is_refused_and_not_shown(tmp_path: Path) -> None:
    log, secret = write(tmp_path / "audit.log", small_log()), LOG_KEY.encode()
    for text in (secret, f" {secret}", f"log {secret}", f"witness a {secret}"):
        (tmp_path / "keys").write_text(f"{text}\nquorum none\n", encoding="utf-8")
        for arguments in (("--key", text), ("--key", tmp_path / "keys"), ("--witness-policy", tmp_path / "keys")):
            outcome = audit("verify", *arguments, log)
            assert (outcome.status, outcome.stdout) == (2, "")
            assert secret.rpartition("+")[2] not in outcome.stderr
    outcome = audit("verify", "--key", secret, log)
    assert "expected a public key, found a private one" in outcome.stderr


def test_what_is_there_and_empty_is_accepted_on_demand_and_what_is_absent_is_not(tmp_path: Path) -> None:
    write(tmp_path / "empty.log", [])
    (tmp_path / "directory").mkdir()
    statuses = [
        audit("verify", "--quiet", "--allow-empty", tmp_path / name).status
        for name in ("empty.log", "directory", "absent.log")
    ]
    assert statuses == [0, 0, 5]


def test_an_absent_path_beside_a_log_is_still_a_finding(tmp_path: Path) -> None:
    log = write(tmp_path / "audit.log", small_log())
    assert audit("verify", "--quiet", log, tmp_path / "absent.log").status == 5
    assert audit("verify", "--quiet", log, write(tmp_path / "audit.log.1", [])).status == 0


def test_a_log_of_which_every_file_is_empty_is_missed_beside_other_logs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    log = write(tmp_path / "a" / "audit.log", small_log())
    empty = write(tmp_path / "b" / "audit.log", [])
    other = write(tmp_path / "a" / "other.log", [])
    compressed = write(tmp_path / "a" / "third.log.gz", [COMPRESSIONS["gz"](b"")])
    cases = ((log.parent, empty.parent), (log, empty), (tmp_path / "*" / "audit.log",), (log, other), (log, compressed))
    for paths in (*cases, (log, "-")):
        outcome = audit("verify", "--format", "json", *paths)
        assert (outcome.status, outcome.json["counts"]) == (5, {"AEG301": 1})
        assert audit("verify", "--quiet", "--allow-empty", *paths).status == 0


def test_an_empty_file_that_a_rotation_leaves_is_not_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("audit.log.1", "audit.log-20261124", "audit-20261124.log"):
        rotated, live = write(tmp_path / name, small_log()), write(tmp_path / "audit.log", [])
        assert audit("verify", "--quiet", tmp_path).status == 0
        assert audit("verify", "--quiet", rotated, live).status == 0
        assert audit("verify", "--quiet", live.name, rotated).status == 0
        assert audit("verify", "--quiet", "--state", tmp_path / "state", live.name, rotated).status == 0
        rotated.unlink()


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.log")
    (tmp_path / "loop.log").symlink_to(tmp_path / "loop.log")
    for path in (tmp_path / "fifo.log", tmp_path / "loop.log", Path("/dev/zero"), tmp_path):
        outcome = audit("verify", "--format", "json", path)
        assert (outcome.status, outcome.json["exit_code"], outcome.stderr) == (6, 6, "")
        assert {finding["id"] for finding in outcome.json["findings"]} == {"AEG401"}


def test_what_may_not_be_read_is_unreadable(tmp_path: Path) -> None:
    path = write(tmp_path / "audit.log", small_log())
    path.chmod(0)
    # Root may read everything, unless the capability for that is taken away first.
    humbly = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    command = (*humbly, sys.executable, "-m", "aegis_audit", "verify", "--quiet", str(path))
    assert subprocess.run(command, check=False, timeout=60).returncode == 6


def test_a_path_that_cannot_be_one_is_unreadable() -> None:
    assert audit("verify", "--quiet", "x" * 5000).status == 6


def test_tampering_outweighs_what_is_unreadable_and_that_outweighs_a_gap(tmp_path: Path) -> None:
    lines = small_log(2)
    gap = write(tmp_path / "gap.log", [lines[0], lines[2]])
    twice = write(tmp_path / "twice.log", [*lines, lines[-1]])
    assert verify([str(gap), "/dev/zero"]).verdict.exit_code == 6
    assert verify([str(twice), "/dev/zero", str(tmp_path / "absent")]).verdict.exit_code == 1


def _peak_memory(path: Path) -> tuple[int, int]:
    """Run the command; return its exit status and the most memory that it held."""
    command = (sys.executable, "-c", _MEASURE, *COMMAND, "verify", "--quiet", str(path))
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment())
    status, kibibytes = map(int, done.stdout.split())
    return status, kibibytes << 10


def _repeated(path: Path, piece: bytes, times: int) -> Path:
    with path.open("wb") as file:
        for _ in range(times):
            file.write(piece)
    return path


def test_a_line_of_a_gigabyte_costs_no_memory(tmp_path: Path) -> None:
    holes, text = tmp_path / "holes.log", tmp_path / "text.log"
    with holes.open("wb") as file:
        file.truncate(1 << 30)
    _repeated(text, b"x" * (1 << 20), 256)
    for path in (holes, text):
        status, memory = _peak_memory(path)
        assert status == 3
        assert memory < MEMORY


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_small_file_that_expands_without_end_costs_no_memory(tmp_path: Path, compression: str) -> None:
    member = COMPRESSIONS[compression](b"x" * (8 << 20))
    bomb = _repeated(tmp_path / "audit.log", member, 64)
    status, memory = _peak_memory(bomb)
    assert status == 3
    assert memory < MEMORY


@pytest.mark.parametrize("line", [b"\n", b"null\n", b'{"entry_hash":"torn\n'])
def test_a_million_damaged_lines_cost_no_memory(tmp_path: Path, line: bytes) -> None:
    status, memory = _peak_memory(_repeated(tmp_path / "audit.log", line * 1000, 300))
    assert status == 3
    assert memory < MEMORY


def test_more_gaps_than_are_remembered_cost_no_memory(tmp_path: Path) -> None:
    lines = small_log(6000)
    status, memory = _peak_memory(write(tmp_path / "audit.log", lines[::2]))
    assert status == 4
    assert memory < MEMORY
