"""A segment that is read in parts, by whoever and in whatever parts, is judged as one that is read as a whole."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit.chain import Head
from aegis_audit.checks import pairing
from aegis_audit.checks.digest import MAX_ENTRIES, UNREAD, Digest, Digested, digest
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.scan import Inquiry, Parts, scan
from aegis_audit.entry import Entry
from aegis_audit.errors import UnreadableSegment
from aegis_audit.part import Part, divide
from aegis_audit.segment import Block, Segment
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


def judged(
    path: Path,
    size: int | None = None,
    *,
    lost: frozenset[int] = frozenset(),
    most: int = MAX_ENTRIES,
    roots: tuple[int, ...] = (),
) -> tuple[object, ...]:
    """Return all that a scan says, with the `roots` of these sizes.

    The parts have this `size`; those that are `lost` are not digested, and a digest of the others stands for no more
    than about `most` entries.
    """
    found = Findings()
    ledgers = Ledgers(found, Trust(), sizes=roots)
    inquiry = Inquiry(found, Shapes(), ledgers, WATCHED)
    result = scan(Segment(str(path)), inquiry, parts=parts(path, size, lost, most) if size else None)
    ledgers.settle()
    pairing = result.pairing.intents, result.pairing.outcomes, result.pairing.is_overfull
    counted = result.entries, result.size, result.stored, result.lines, result.sessions, result.lost
    return found.kept(), result.runs, result.last, ledgers.all, counted, pairing


def parts(path: Path, size: int, lost: frozenset[int], most: int) -> Parts:
    divided = divide(Segment(str(path)))
    assert divided

    def digested() -> Generator[tuple[Part, Digested]]:
        for number, part in enumerate(divided.parts(size)):
            yield part, UNREAD if number in lost else digest(part, WATCHED, SHAPES, most=most)
        divided.close()

    return Parts(divided, digested())


@pytest.mark.parametrize("tampering", corpus(LINES), ids=lambda one: one.name)
def test_every_tampering_is_judged_the_same_in_parts_and_as_a_whole(tmp_path: Path, tampering: Tampering) -> None:
    path = write(tmp_path / "audit.log", [tampering.data])
    for roots in ((), (4, 9)):
        whole = judged(path, roots=roots)
        assert [judged(path, size, roots=roots) for size in (1, 2000, LONG)] == [whole] * 3


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
    most, roots = data.draw(st.integers(1, 9)), data.draw(st.sampled_from([(), (4, 9)]))
    assert judged(path, size, lost=lost, most=most, roots=roots) == judged(path, roots=roots)


def test_the_root_at_any_size_is_the_same_in_parts_and_as_a_whole(tmp_path: Path) -> None:
    path, sizes = write(tmp_path / "audit.log", LINES), range(1, len(LINES) + 1)
    for size in sizes:
        assert judged(path, LONG, roots=(size,)) == judged(path, roots=(size,))


def test_calls_of_one_trace_are_paired_the_same_in_any_parts_and_as_a_whole(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    for phase in "iooiiiooioooiiioioo":
        (log.intent if phase == "i" else log.outcome)(1)
    path = write(tmp_path / "audit.log", log.lines)
    whole = judged(path)
    assert [judged(path, size) for size in range(1, 12_000, 500)] == [whole] * 24


def test_what_hangs_on_the_lines_before_is_judged_the_same_in_any_parts_and_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(0)
    log.call(1)
    first, log.lines = log.lines, []
    log.open_segment(replay=[1, 2])
    log.call(2)
    log.security("policy_loaded")
    for phase, number in zip("iiiooi", (3, 4, 5, 3, 4, 6), strict=True):
        (log.intent if phase == "i" else log.outcome)(number)
    announced = [*log.lines[:3], *first[1:3], *log.lines[3:]]
    damaged = [*first[:3], b"junk\n", *first[3:]]
    for most in (2, MAX_ENTRIES):
        monkeypatch.setattr(pairing, "MAX_OPEN", most)
        for lines in (announced, damaged, [*log.lines, *first[1:3]]):
            path = write(tmp_path / "audit.log", lines)
            whole, sizes = judged(path), range(1, sum(map(len, lines)), 300)
            assert [judged(path, size) for size in sizes] == [whole] * len(sizes)


def digested(path: Path, shapes: Shapes, most: int = MAX_ENTRIES) -> Digested:
    """Return what a file is made of that is read as one part."""
    divided = divide(Segment(str(path)))
    assert divided
    (part,) = divided.parts(LONG)
    divided.close()
    return digest(part, WATCHED, shapes, most=most)


@pytest.mark.parametrize("most", [1, 6, 100, MAX_ENTRIES])
def test_digests_of_no_more_than_so_many_entries_stand_for_all_calls_of_a_part(tmp_path: Path, most: int) -> None:
    lines = small_log(90)  # one block, so that each line is taken on its own
    path = write(tmp_path / "audit.log", lines)
    hashes = [line[15:79].decode("ascii") for line in lines]
    (opening, *calls), is_whole = digested(path, Shapes(), most)
    assert (opening, is_whole) == (lines[0], True)
    done = 1
    for call in calls:
        assert isinstance(call, Digest)
        begin, done = done, done + call.entries
        assert (call.entries, call.base) == (min(most, 181 - begin), Head(begin - 1, hashes[begin - 1]))
        assert (call.length, call.last_hash) == (sum(map(len, lines[begin:done])), hashes[done - 1])
        assert call.known_hashes == {seq: hashes[seq] for seq in WATCHED if begin <= seq < done}
        assert (len(call.intents), len(call.outcomes)) == (done % 2 ^ 1, begin % 2 ^ 1)
        assert call.sessions == (["5e" * 16] if begin == 1 else [])
    assert done == 181
    assert judged(path, LONG, most=most) == judged(path)


def test_lines_that_are_taken_together_are_in_one_digest_with_those_behind_them(tmp_path: Path) -> None:
    lines = small_log(600)
    path = write(tmp_path / "audit.log", [*lines, b"no entry\n", *small_log(1)])
    (opening, calls), is_whole = digested(path, SHAPES)
    assert isinstance(calls, Digest)
    assert (opening, calls.entries, calls.length, is_whole) == (lines[0], 1200, sum(map(len, lines[1:])), False)
    assert judged(path, LONG) == judged(path)


def test_an_entry_whose_clock_was_set_back_is_judged_the_same_in_parts_and_as_a_whole(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    log.call(1)
    log.now -= timedelta(hours=1)
    log.call(2)
    path = write(tmp_path / "audit.log", log.lines)
    whole = judged(path)
    assert "CLOCK_STEP" in repr(whole[0])
    assert [judged(path, size) for size in (1, LONG)] == [whole] * 2


def test_what_was_announced_and_has_not_come_is_no_replay_later_on(tmp_path: Path) -> None:
    log = LogBuilder()
    log.open_log()
    for number in range(3):
        log.call(number)
    early, log.lines = log.lines, []
    log.open_segment("truncated", replay=[3, 4])
    log.call(4)
    log.call(5)
    path = write(tmp_path / "audit.log", [*log.lines, *early[3:5]])
    whole = judged(path)
    assert [judged(path, size) for size in (1, LONG)] == [whole] * 2
    found = Findings()
    scan(Segment(str(path)), Inquiry(found, SHAPES, Ledgers(found, Trust()), WATCHED))
    runs = scan(Segment(str(path)), Inquiry(found, SHAPES, Ledgers(found, Trust()), WATCHED)).runs
    assert (runs, [run.is_replay for run in runs]) == (whole[1], [False, False])


def test_damage_in_front_of_a_digest_stands_where_it_is(tmp_path: Path) -> None:
    lines = small_log(4)
    path = write(tmp_path / "audit.log", [lines[0], b"none\n", *lines[1:]])
    cut = len(lines[0]) + 5
    whole = judged(path)
    assert [judged(path, size) for size in (1, cut - 1, cut, LONG)] == [whole] * 4


def test_a_digest_of_entries_that_follow_another_one_is_not_taken(tmp_path: Path) -> None:
    one, other = (write(tmp_path / f"{name}.log", small_log(2, session_id=name)) for name in ("ab" * 16, "cd" * 16))
    (opening, _), _ = digested(one, SHAPES)
    _, calls = digested(other, SHAPES).items
    false = Digested((opening, calls), is_whole=True)
    divided = divide(Segment(str(one)))
    assert divided
    found = Findings()
    inquiry = Inquiry(found, Shapes(), Ledgers(found, Trust()), WATCHED)
    result = scan(Segment(str(one)), inquiry, parts=Parts(divided, ((part, false) for part in divided.parts())))
    divided.close()
    assert (found.kept(), result.entries) == ((), 5)
    assert [run.last_hash for run in result.runs] == [small_log(2, session_id="ab" * 16)[-1][15:79].decode("ascii")]


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


def test_what_is_no_file_is_not_read_in_parts(tmp_path: Path) -> None:
    assert [divide(Segment(str(path))) for path in ("/dev/null", tmp_path, tmp_path / "absent", "-")] == [None] * 4


@pytest.mark.parametrize("compression", [*COMPRESSIONS, "none"])
def test_a_part_is_read_from_behind_any_of_its_lines(tmp_path: Path, compression: str) -> None:
    lines = [b"\n", b"\n", *LINES, b"\n", b"x" * 70_000 + b"\n", b"x" * 70_000]
    path = write(tmp_path / "audit.log", [COMPRESSIONS.get(compression, bytes)(b"".join(lines))])
    divided = divide(Segment(str(path)))
    assert divided
    if compression != "none":
        assert [(part.start, part.stop) for part in divided.parts(1)] == [(0, path.stat().st_size)]
    (part,) = divided.parts(LONG)
    whole = [line for block in part.blocks_in(divided.descriptor) for line in block_lines(block)]
    assert [length for _, _, length in whole] == list(map(len, lines))
    for count in range(len(lines) + 1):
        at = sum(map(len, lines[:count]))
        rest = [line for block in part.blocks_in(divided.descriptor, at) for line in block_lines(block)]
        assert rest == whole[count:]
    divided.close()


def block_lines(block: Block) -> Iterator[tuple[int, bytes, int]]:
    """Yield where each line of a block begins, its bytes and its length."""
    at = 0
    while at < len(block.data):
        line = block.line(1, at)
        yield line.offset, line.raw, line.length
        at += len(line.raw)


def test_a_part_that_cannot_be_read_is_no_end(tmp_path: Path) -> None:
    path = write(tmp_path / "audit.log", LINES)
    divided = divide(Segment(str(path)))
    assert divided
    (part,) = divided.parts()
    with pytest.raises(UnreadableSegment, match="Invalid argument"):
        list(part._replace(start=-1).blocks_in(divided.descriptor))
    divided.close()
