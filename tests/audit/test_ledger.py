"""Entries of a log that are read again below an earlier verification say what they said, and take nothing away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pytest

from aegis_audit.chain import Head
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.join import Log
from aegis_audit.checks.ledger import Ledger, Ledgers
from aegis_audit.checks.levels import cover
from aegis_audit.checks.run import Run
from aegis_audit.checks.saved import restore, save
from aegis_audit.entry import Entry
from aegis_audit.finding import Place
from aegis_audit.note import VerifierKey
from aegis_audit.trust import Pin, Trust
from support.logs import ORIGIN
from support.signed import LOG_KEY, SignedBuilder, epoch_key

PLACE: Final = Place("audit.log")
TIME: Final = "2026-11-24T03:31:51.123456Z"
LOG: Final = LOG_KEY.verifier
EPOCH: Final = epoch_key(0).verifier
SIZES: Final = (3, 6)
"""The sizes whose roots are asked for."""


def history() -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return two segments, and what came behind them: there, as in the second, an epoch ends and a break is named."""
    log = SignedBuilder()
    log.open_log()
    log.call(0)
    first = log.rotate()
    log.checkpoint()
    segments: list[list[bytes]] = []
    for number in range(2):
        log.call(number)
        log.security("break_acknowledged", missing=[[number, number]], by="Ada", note="seen")
        log.hand_over()
        segments.append(log.lines)
        log.lines = []
    return first, segments[0], segments[1]


FIRST, SECOND, BEHIND = history()


def pinned(*keys: VerifierKey) -> Trust:
    return Trust([Pin(key, "pinned") for key in keys])


def read(trust: Trust, *parts: Iterable[bytes], earlier: Ledger | None = None) -> Ledgers:
    """Read entries in this order, with what an earlier verification has left."""
    ledgers = Ledgers(Findings(), trust, SIZES)
    if earlier:
        ledgers.add(earlier)
    for line in (line for lines in parts for line in lines):
        ledgers.take(Entry.parse(line), PLACE, TIME)
    ledgers.settle()
    return ledgers


def known(ledgers: Ledgers) -> dict[str, Any]:
    (ledger,) = ledgers.all
    names = ("origin", "size", "tree", "last_hash", "chain", "sealed", "roots", "acknowledging", "busy")
    return {name: getattr(ledger, name) for name in names}


def left_by(*parts: Iterable[bytes]) -> Ledger:
    """Return what a verification has left that knew no key."""
    (ledger,) = read(Trust(), *parts).all
    left = restore(ledger.origin, Head(ledger.size - 1, ledger.last_hash), save(ledger), Trust())
    assert left
    return left


@pytest.mark.parametrize(
    ("before", "again", "keys"),
    [
        ((FIRST, SECOND), (FIRST, SECOND), ()),
        ((SECOND,), (FIRST, SECOND), ()),
        ((SECOND,), (SECOND,), (LOG, EPOCH)),
    ],
    ids=["the whole of it", "more than was there", "with keys that were not known"],
)
def test_what_is_read_again_below_an_earlier_verification_leaves_what_is_known(
    before: tuple[list[bytes], ...], again: tuple[list[bytes], ...], keys: tuple[VerifierKey, ...]
) -> None:
    expected = known(read(pinned(*keys), *again, BEHIND))
    assert [term.epoch for term in expected["chain"].terms] == [0, 1, 2]
    assert len(expected["acknowledging"]) == 2
    assert known(read(pinned(*keys), BEHIND, *again, earlier=left_by(*before))) == expected


@pytest.mark.parametrize(("keys", "time"), [((), ""), ((LOG,), TIME), ((EPOCH,), TIME), ((LOG, EPOCH), TIME)])
def test_the_time_of_the_last_signed_entry_is_known_if_a_key_that_counts_has_signed(
    keys: tuple[VerifierKey, ...], time: str
) -> None:
    run = Run.begin(Entry.parse(BEHIND[-1]), PLACE)
    trust = pinned(*keys)
    coverage = cover(Log(ORIGIN, (run,)), read(trust, FIRST, SECOND, BEHIND).all, trust)
    assert (coverage.signed_at, coverage.unsigned) == (time, 0 if keys else coverage.busy)
