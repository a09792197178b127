"""One bit that changes, anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aegis_audit.verdict import Verdict
from aegis_audit.verify import verify
from support.auditor import audit
from support.logs import overwrite, small_log

LOG = b"".join(small_log(1))
SEEN = {Verdict.TAMPERED, Verdict.CORRUPT, Verdict.INCOMPLETE, Verdict.UNVERIFIABLE}


def flipped(bit: int) -> bytes:
    """Return the log with one of its bits changed."""
    data = bytearray(LOG)
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


@pytest.mark.parametrize("part", range(16))
def test_each_single_bit_that_changes_is_found(tmp_path: Path, part: int) -> None:
    path = tmp_path / "audit.log"
    for bit in range(part, 8 * len(LOG), 16):
        overwrite(path, flipped(bit))
        assert verify([str(path)]).verdict in SEEN, f"bit {bit}"


def test_only_the_last_lf_makes_a_tail_torn_and_only_a_version_makes_it_unknown(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    versions = [at + 4 for at in range(len(LOG)) if LOG.startswith(b'"v":1}\n', at)]
    for byte in (*versions, len(LOG) - 1):
        verdicts: set[Verdict] = set()
        for bit in range(8 * byte, 8 * byte + 8):
            overwrite(path, flipped(bit))
            verdicts.add(verify([str(path)]).verdict)
        expected = {Verdict.INCOMPLETE} if byte == len(LOG) - 1 else {Verdict.UNVERIFIABLE, Verdict.CORRUPT}
        assert verdicts == expected


@pytest.mark.parametrize("bit", range(5, 8 * len(LOG), 8 * len(LOG) // 12))
def test_the_command_says_so_with_its_exit_status(tmp_path: Path, bit: int) -> None:
    path = tmp_path / "audit.log"
    overwrite(path, flipped(bit))
    outcome = audit("verify", "--format", "json", path)
    assert outcome.status == json.loads(outcome.stdout)["exit_code"]
    assert outcome.status in {verdict.exit_code for verdict in SEEN}
    assert outcome.stderr == ""
