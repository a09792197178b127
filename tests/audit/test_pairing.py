"""Entries that are taken together are paired as those that are taken one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit.checks.pairing import MAX_OPEN, Pairing, unpaired
from aegis_audit.finding import Finding, FindingCode, Place

Half: TypeAlias = "tuple[str, Literal['intent', 'outcome', 'none']]"

halves = st.tuples(st.sampled_from(["a" * 32, "b" * 32, "c" * 32]), st.sampled_from(["intent", "outcome", "none"]))


def state(pairing: Pairing) -> tuple[object, ...]:
    room = next(room for room in range(MAX_OPEN, -2, -1) if pairing.has_room_for(room))
    return dict(pairing.intents), dict(pairing.outcomes), pairing.is_overfull, room


def filled(waiting: int, phase: Literal["intent", "outcome"] = "intent") -> Pairing:
    """Return what has seen so many intents that nobody answers, or outcomes that nobody has asked for."""
    pairing = Pairing("audit.log")
    add = pairing.add_intent if phase == "intent" else pairing.add_outcome
    for seq in range(waiting):
        add(f"{seq:032x}", seq, seq + 1)
    return pairing


def taken_together(pairing: Pairing, rows: Sequence[Half], seq: int) -> None:
    marks = ([b"," if phase == kind else b"" for _, phase in rows] for kind in ("intent", "outcome"))
    pairing.add_all([trace_id.encode("ascii") for trace_id, _ in rows], *marks, seq=seq, line=seq + 7)


def taken_one_by_one(pairing: Pairing, rows: Sequence[Half], seq: int) -> None:
    for number, (trace_id, phase) in enumerate(rows, seq):
        if phase == "intent":
            pairing.add_intent(trace_id, number, number + 7)
        elif phase == "outcome":
            pairing.add_outcome(trace_id, number, number + 7)


@given(st.lists(st.lists(halves, max_size=8), max_size=4))
def test_halves_that_are_taken_together_are_paired_as_one_by_one(stretches: list[list[Half]]) -> None:
    together, single, seq = filled(0), filled(0), 0
    for rows in stretches:
        taken_together(together, rows, seq)
        taken_one_by_one(single, rows, seq)
        seq += len(rows)
        assert state(together) == state(single)


def test_what_is_too_much_to_remember_one_by_one_is_too_much_together() -> None:
    answered: list[Half] = [("a" * 32, "intent"), ("a" * 32, "outcome"), ("b" * 32, "intent")]
    for waiting in range(MAX_OPEN - 3, MAX_OPEN + 1):
        together, single = filled(waiting), filled(waiting)
        taken_together(together, answered, waiting)
        taken_one_by_one(single, answered, waiting)
        assert state(together) == state(single)
        assert together.is_overfull == (waiting == MAX_OPEN)


@pytest.mark.parametrize("phase", ["intent", "outcome"])
def test_beyond_so_many_that_wait_nothing_is_remembered(phase: Literal["intent", "outcome"]) -> None:
    most, more = filled(MAX_OPEN, phase), filled(MAX_OPEN + 1, phase)
    assert (most.is_overfull, most.has_room_for(0), most.has_room_for(1)) == (False, True, False)
    assert (more.is_overfull, more.intents, more.outcomes, more.has_room_for(MAX_OPEN)) == (True, {}, {}, True)
    other = filled(1)
    assert len([*unpaired([most, other])]) == MAX_OPEN
    assert [*unpaired([more, other])] == []


@pytest.mark.parametrize("split", range(4))
def test_an_outcome_answers_the_latest_intent_of_its_trace_be_it_in_another_segment(split: int) -> None:
    segments = Pairing("audit.log.1"), Pairing("audit.log")
    for seq, phase in enumerate(("intent", "intent", "outcome")):
        taken_one_by_one(segments[seq >= split], [("a" * 32, phase)], seq)
    (note,) = unpaired(segments)
    place = Place(segments[split == 0].path, 7, None, 0)
    assert note == Finding(FindingCode.UNANSWERED_INTENT, place, f"an outcome in trace {'a' * 32}", "none")


@pytest.mark.parametrize(
    ("held", "noted"),
    [
        ([[range(2), range(1)]], []),
        ([[range(2), range(1, 9)]], [0]),
        ([[range(2), range(1), range(1)]], []),
        ([[range(2), range(1)], [range(1)]], [0]),
        ([[range(2), range(1)], [range(1, 2)]], []),
        ([], [0]),
    ],
    ids=["copied", "beside", "copied twice", "in another log", "beside another log", "nobody knows"],
)
def test_what_is_answered_in_one_copy_of_a_segment_is_answered(held: list[list[range]], noted: list[int]) -> None:
    whole, cut = Pairing("audit.log"), Pairing("audit.log.1")
    taken_one_by_one(whole, [("a" * 32, "intent"), ("a" * 32, "outcome")], 0)
    taken_one_by_one(cut, [("a" * 32, "intent")], 0)
    assert [note.place.seq for note in unpaired([whole, cut], held)] == noted
    assert [note.place.seq for note in unpaired([cut] * 3, held)] == [0]
