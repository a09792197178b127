"""Whatever is done to a log is found, named, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_audit.finding import FindingCode
from aegis_audit.verify import verify
from support.logs import small_log, write
from support.tampering import Tampering, corpus

CORPUS = corpus(small_log(2))


def findings(path: Path) -> frozenset[FindingCode]:
    """Return what is found, notes apart."""
    return frozenset(code for code in verify([str(path)]).codes if not code.is_note)


@pytest.mark.parametrize("tampering", CORPUS, ids=lambda one: one.name)
def test_a_tampering_leads_to_exactly_its_findings(tmp_path: Path, tampering: Tampering) -> None:
    path = write(tmp_path / "audit.log", [tampering.data])
    report = verify([str(path)])
    assert frozenset(code for code in report.codes if not code.is_note) == tampering.codes
    assert report.verdict.exit_code == tampering.exit_code != 0
