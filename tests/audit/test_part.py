"""A segment that is read in parts, by whoever and in whatever parts, is judged as one that is read as a whole."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit.checks.digest import UNREAD, Digest, Digested, digest
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.scan import Inquiry, Parts, scan
from aegis_audit.entry import Entry
from aegis_audit.part import Part, divide
from aegis_audit.segment import Segment
from aegis_audit.shape import Shapes
from aegis_audit.trust import Trust
from support.logs import COMPRESSIONS, LogBuilder, rotated_log, small_log, write
from support.signed import signed_log
from support.tampering import Tampering, corpus

LINES = small_log(3)
SIGNED = signed_log(7, 8, 9).lines
WATCHED = frozenset({0, 3, 5, 11})
LONG = 1 << 20


def learnt(lines: Iterable[bytes]) -> Shapes:
    shapes = Shapes()
    for line in lines:
        for _ in range(512):
            shapes.learn(Entry.parse(line))
    return shapes


SHAPES = learnt(LINES[1:3])


def judged(path: Path, size: int | None = None, *, lost: frozenset[int] = frozenset()) -> tuple[object, ...]:
    """Return all that a scan says; `size` is that of the parts, of which those that are `lost` are not digested."""
    found = Findings()
    ledgers = Ledgers(found, Trust(), sizes=(4, 9))
    inquiry = Inquiry(found, Shapes(), ledgers, WATCHED)
    result = scan(Segment(str(path)), inquiry, parts=parts(path, size, lost) if size else None)
    ledgers.settle()
    pairing = result.pairing.intents, result.pairing.outcomes
    counted = result.entries, result.size, result.stored, result.lines, result.sessions, result.lost
    return found.kept(), result.runs, result.last, ledgers.all, counted, pairing


def parts(path: Path, size: int, lost: frozenset[int]) -> Parts:
    divided = divide(Segment(str(path)))
    assert divided

    def digested() -> Generator[tuple[Part, Digested]]:
        for number, part in enumerate(divided.parts(size)):
            yield part, UNREAD if number in lost else digest(part, WATCHED, SHAPES)
        divided.close()

    return Parts(divided, digested())


@pytest.mark.parametrize("tampering", corpus(LINES), ids=lambda one: one.name)
def test_every_tampering_is_judged_the_same_in_parts_and_as_a_whole(tmp_path: Path, tampering: Tampering) -> None:
    path = write(tmp_path / "audit.log", [tampering.data])
    whole = judged(path)
    assert [judged(path, size) for size in (1, 2000, LONG)] == [whole] * 3


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_compressed_segment_is_judged_the_same_in_parts_and_as_a_whole(tmp_path: Path, compression: str) -> None:
    compressed = COMPRESSIONS[compression](b"".join(SIGNED))
    middle = len(compressed) // 2
    for data in (compressed, compressed[:middle], compressed[:middle] + bytes(20) + compressed[middle + 20 :]):
        path = write(tmp_path / "audit.log", [data])
        assert judged(path, LONG) == judged(path)


lines = st.sampled_from(SIGNED)
logs = st.one_of(
    st.just(SIGNED),
    st.permutations([b"".join(segment) for segment in rotated_log(4, 4, 4)]),
    st.tuples(st.integers(0, len(SIGNED)), st.integers(0, len(SIGNED))).map(lambda cut: SIGNED[min(cut) : max(cut)]),
    st.tuples(st.integers(0, len(SIGNED)), lines | st.binary(max_size=9)).map(
        lambda more: [*SIGNED[: more[0]], more[1], *SIGNED[more[0] :]]
    ),
)


@given(logs, st.integers(0, 9), st.integers(1, 30_000), st.frozensets(st.integers(0, 9)), st.data())
def test_whatever_stands_in_a_segment_is_judged_the_same_in_any_parts_and_as_a_whole(
    tmp_path_factory: pytest.TempPathFactory,
    log: list[bytes],
    flips: int,
    size: int,
    lost: frozenset[int],
    data: st.DataObject,
) -> None:
    content = bytearray(b"".join(log))
    for _ in range(flips if content and flips < 3 else 0):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = write(tmp_path_factory.mktemp("log") / "audit.log", [bytes(content)])
    assert judged(path, size, lost=lost) == judged(path)


def test_calls_of_one_trace_are_paired_the_same_in_any_parts_and_as_a_whole(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    for phase in "iooiiiooioooiiioioo":
        (log.intent if phase == "i" else log.outcome)(1)
    path = write(tmp_path / "audit.log", log.lines)
    whole = judged(path)
    assert [judged(path, size) for size in range(1, 12_000, 500)] == [whole] * 24


def test_one_digest_stands_for_all_calls_of_a_part(tmp_path: Path) -> None:
    path = write(tmp_path / "audit.log", small_log(50))
    divided = divide(Segment(str(path)))
    assert divided
    (part,) = divided.parts()
    divided.close()
    opening, calls = digest(part, WATCHED, Shapes()).items
    assert opening == small_log(50)[0]
    assert isinstance(calls, Digest)
    assert (calls.entries, calls.intents, calls.outcomes) == (100, [], [])


def test_a_part_of_a_file_that_has_been_replaced_is_not_digested(tmp_path: Path) -> None:
    path = write(tmp_path / "audit.log", LINES)
    divided = divide(Segment(str(path)))
    assert divided
    (part,) = divided.parts()
    path.rename(tmp_path / "audit.log.1")
    write(path, LINES)
    assert digest(part, WATCHED, Shapes()) == ([], False)
    assert b"".join(block.data for block in part.blocks_in(divided.descriptor)) == b"".join(LINES)
    divided.close()
