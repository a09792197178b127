"""What each finding leads to, which verdict outweighs another, and what is demanded where nothing is asked for."""

from __future__ import annotations

from itertools import combinations

from aegis_audit.demand import NOTHING_DEMANDED, Demands
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.level import Level
from aegis_audit.verdict import Verdict, worst

FAMILIES = {
    "AEG0": Verdict.TAMPERED,
    "AEG1": Verdict.CORRUPT,
    "AEG2": Verdict.INCOMPLETE,
    "AEG3": Verdict.UNVERIFIABLE,
    "AEG4": Verdict.UNREADABLE,
    "AEG5": Verdict.VALID,
}


def test_the_first_digit_of_a_finding_says_what_it_leads_to() -> None:
    assert {code.identifier: code.verdict for code in FindingCode} == {
        code.identifier: FAMILIES[code.identifier[:4]] for code in FindingCode
    }
    assert {code for code in FindingCode if code.is_note} == {
        code for code in FindingCode if code.identifier.startswith("AEG5")
    }


def test_each_verdict_has_its_exit_status() -> None:
    assert {verdict.name: verdict.exit_code for verdict in Verdict} == {
        "VALID": 0,
        "TAMPERED": 1,
        "CORRUPT": 3,
        "INCOMPLETE": 4,
        "UNVERIFIABLE": 5,
        "UNREADABLE": 6,
    }


def test_of_two_verdicts_the_same_outweighs_the_other_in_any_order() -> None:
    names = ("TAMPERED", "CORRUPT", "UNREADABLE", "INCOMPLETE", "UNVERIFIABLE", "VALID")
    for heavy, light in combinations((Verdict[name] for name in names), 2):
        assert worst([heavy, light]) is worst([light, heavy]) is heavy
    assert worst([]) is Verdict.VALID


def test_nothing_is_demanded_or_accepted_where_it_was_not_asked_for() -> None:
    assert (
        Demands(
            from_genesis=False,
            allow_empty=False,
            min_records=0,
            not_before=None,
            level=Level.A0,
            max_uncovered=None,
            accept_acknowledged=False,
        )
        == NOTHING_DEMANDED
    )
    finding = Finding(FindingCode.TORN_TAIL, Place("audit.log"))
    assert (finding.code.is_note, finding.is_accepted) == (False, False)


def test_each_level_has_its_number_and_its_name() -> None:
    assert {int(level): level.title for level in Level} == {
        0: "A0 consistent",
        1: "A1 signed",
        2: "A2 forward-secure",
        3: "A3 anchored",
        4: "A4 witnessed",
    }
