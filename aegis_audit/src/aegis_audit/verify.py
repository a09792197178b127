"""Verification: from paths to a report.

Each segment is read on its own, in any order; then all of them are judged together by their content.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from aegis_audit import value
from aegis_audit.account import Examined, report_of, state_of
from aegis_audit.anchor import Anchor
from aegis_audit.archive import find_segments, is_left_by_rotation
from aegis_audit.checks.acknowledged import Acknowledgements
from aegis_audit.checks.anchors import check_anchor, check_roots, hold
from aegis_audit.checks.ends import End, check_end, compare_end, known_from
from aegis_audit.checks.findings import Findings
from aegis_audit.checks.join import Log, check_joints, check_torn, split_by_log
from aegis_audit.checks.known import Known, Standing, check_heads
from aegis_audit.checks.ledger import Ledgers
from aegis_audit.checks.levels import Coverage, check_keys, check_level, cover, signed_acknowledgements
from aegis_audit.checks.order import check_interruptions, check_order
from aegis_audit.checks.pairing import unpaired
from aegis_audit.checks.run import Run
from aegis_audit.checks.saved import restore
from aegis_audit.checks.scan import Inquiry, Scan, scan
from aegis_audit.crew import hire, jobs_for
from aegis_audit.demand import NOTHING_DEMANDED, Demands
from aegis_audit.errors import EmptyDirectory
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.level import Level
from aegis_audit.reading import in_order
from aegis_audit.report import Report
from aegis_audit.segment import Segment, keep_memory
from aegis_audit.shape import Shapes
from aegis_audit.sidecar import Sidecar
from aegis_audit.state import State, Verified, resume
from aegis_audit.trust import Trust


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of the logs from outside of them.

    `heads` are entries that they hold for certain, `anchors` checkpoints that they had; `earlier` is what was verified
    before, and is not to be read again; `sidecars` were read before the logs; `trust` says whose signatures count;
    `booted` is when the machine was started, in nanoseconds since the epoch, None if that cannot be told.
    """

    heads: tuple[Known, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    earlier: State | None = None
    sidecars: tuple[Sidecar, ...] = ()
    trust: Trust = field(default_factory=Trust)
    booted: int | None = None

    @property
    def verified(self) -> tuple[Verified, ...]:
        """Return the logs that were verified before, as far as they were."""
        return self.earlier.logs if self.earlier else ()

    @property
    def certain(self) -> list[Known]:
        """Return the entries that the logs hold for certain."""
        when = self.earlier.nanoseconds if self.earlier else None
        verified = (Known(log.head, log.origin, "an earlier verification", when) for log in self.verified)
        return [*self.heads, *verified]

    @property
    def origins(self) -> set[str | None]:
        """Return which logs are known for certain to be there."""
        return {known.origin for known in self.certain} | {anchor.checkpoint.origin for anchor in self.anchors}

    @property
    def known(self) -> list[Known]:
        """Return every entry that is known."""
        return [*self.certain, *filter(None, map(known_from, self.sidecars))]

    @property
    def claimed(self) -> list[Anchor]:
        """Return every checkpoint that a log is said to have had."""
        return [*self.anchors, *(anchor for sidecar in self.sidecars for anchor in sidecar.anchors)]

    @property
    def sizes(self) -> set[int]:
        """Return the sizes at which the tree has to be known."""
        heads = {known.head.seq + 1 for known in self.heads if known.root}
        return heads | {anchor.checkpoint.size for anchor in self.claimed}

    def is_compared(self, log: Verified) -> bool:
        """Tell whether everything that lies in an earlier verification was compared with it."""
        roots: dict[str, str] = log.signed["roots"] if log.signed else {}
        seqs = (known.head.seq for known in self.heads if known.origin == log.origin)
        sizes = (one.checkpoint.size for one in self.claimed if one.checkpoint.origin == log.origin)
        return not any(seq < log.seq for seq in seqs) and all(
            size > log.seq + 1 or str(size) in roots for size in sizes
        )

    def at_once(self) -> Knowledge:
        """Return what is known without leave to read only what is new, if more than that has to be read."""
        if all(map(self.is_compared, self.verified)):
            return self
        return replace(self, heads=tuple(self.certain), earlier=None)


class Examination(NamedTuple):
    """The report of a verification, and what the next one can go on from; None if anything was found."""

    report: Report
    state: State | None


NOTHING_KNOWN: Final = Knowledge()


def verify(
    paths: Iterable[str],
    demands: Demands = NOTHING_DEMANDED,
    knowledge: Knowledge = NOTHING_KNOWN,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Verify the segments at `paths`, as `find_segments` takes them, and say what was found.

    A path at which there is nothing is never accepted. `progress` is called with the bytes of each step, as many as
    are on the disk.
    """
    return examine(paths, demands, knowledge, progress=progress).report


def examine(
    paths: Iterable[str],
    demands: Demands = NOTHING_DEMANDED,
    knowledge: Knowledge = NOTHING_KNOWN,
    *,
    now: str = "",
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Examination:
    """Verify as `verify` does, and say as well what the next verification can go on from; the time is `now`.

    With more than one of `jobs`, so many processes read the log, this one among them, which judges; None lets its size
    decide.
    """
    keep_memory()
    knowledge = knowledge.at_once()
    found = Findings()
    ledgers = _ledgers(found, knowledge)
    named = frozenset(paths := [*paths])
    given = find_segments(paths)
    segments = resume(given, knowledge.earlier) if knowledge.earlier else given
    watched = frozenset(known.head.seq for known in knowledge.known)
    inquiry = Inquiry(found, Shapes(), ledgers, watched)
    # In the order of their content, so that a tree grows in one pass; and told in the order in which they were given.
    ordered = in_order(segments)
    size = sum(segment.size - segment.start for segment in ordered)
    with hire(jobs_for(size) if jobs is None else jobs, ordered, watched) as crew:
        read = {
            segment: scan(segment, inquiry, parts=crew.parts_of(segment) if crew else None, progress=progress)
            for segment in ordered
        }
    scans = [read[segment] for segment in segments]
    ledgers.settle()
    _recognize(scans, knowledge.verified)
    logs = split_by_log([one.runs for one in scans])
    ends_by_log = {log.origin: log.last.last_seq + 1 for log in logs}
    anchorings = [hold(anchor, ledgers.all, ends_by_log, knowledge.trust) for anchor in knowledge.claimed]
    coverages = {log.origin: cover(log, ledgers.all, knowledge.trust, anchorings) for log in logs}
    ends = [compare_end(sidecar, logs, anchorings) for sidecar in knowledge.sidecars]
    continued = {one.segment.path: one.next for one in scans if one.next}
    found.revise(lambda finding: _torn(finding, continued, logs, knowledge.verified))
    found.add_all(_between(scans, logs, knowledge.verified))
    found.add_all(_demanded(logs, coverages, knowledge.verified, demands))
    missed = [] if demands.allow_empty else _empty(scans, given, named, ends)
    found.add_all(_nothing(scans, missed, is_anything_known=bool(found.counts), allow_empty=demands.allow_empty))
    moved = next((str(one.moved) for one in scans if one.moved), "")
    anchors = filter(None, (check_anchor(one) for one in anchorings if one.anchor.is_outside))
    replacing = {log.origin for log in logs} - knowledge.origins
    found.add_all(_unless_moved(_unless_all_known(anchors, replacing), moved))
    found.add_all(check_keys(ledgers.all, knowledge.trust))
    for log in logs:
        found.add_all(check_level(log, coverages[log.origin], demands))
    # A hash stands for all that came before it, and so for the root: only one of both can be news.
    heads = list(check_heads(knowledge.certain, logs, knowledge.booted)) or check_roots(knowledge.heads, ledgers.all)
    found.add_all(_unless_moved(_unless_all_known(heads, replacing), moved))
    for end in ends:
        at_end = check_end(end, logs, [segment.path for segment in given], knowledge.booted)
        found.add_all(_unless_moved(at_end, moved))
    claims = [claim for one in scans for claim in one.claims]
    acknowledged = Acknowledgements(logs, continued, claims, signed_acknowledgements(ledgers.all, knowledge.trust))
    found.revise(acknowledged.look_up)
    if demands.accept_acknowledged:
        found.revise(_accepted)
    examined = Examined(
        scans, logs, coverages, ledgers.all, ends, anchorings, found, knowledge.trust, knowledge.earlier
    )
    report = report_of(examined)
    return Examination(report, state_of(examined, now) if report.is_intact else None)


def _ledgers(found: Findings, knowledge: Knowledge) -> Ledgers:
    """Return the ledgers that an earlier verification has left, for what goes on from there."""
    ledgers = Ledgers(found, knowledge.trust, knowledge.sizes)
    for log in knowledge.verified:
        ledger = restore(log.origin, log.head, log.signed, knowledge.trust) if log.signed else None
        if ledger:
            ledgers.add(ledger)
    return ledgers


def _recognize(scans: Sequence[Scan], verified: Sequence[Verified]) -> None:
    """Name the log of runs that go on from an earlier verification: the entry that did so is not read again."""
    for run in (run for one in scans for run in one.runs if run.origin is None):
        run.origin = next((log.origin for log in verified if run.known_hashes.get(log.seq) == log.entry_hash), None)


def _between(scans: Sequence[Scan], logs: Sequence[Log], verified: Sequence[Verified]) -> Iterator[Finding]:
    for one in scans:
        yield from check_interruptions(one.runs)
        for log in logs:
            yield from check_order([run for run in one.runs if run.origin == log.origin])
    for log in logs:
        lost = [missing for one in scans for run, missing in one.lost if run.origin == log.origin]
        yield from check_joints(log, [*lost, *_earlier(log, verified)])
    yield from unpaired([one.pairing for one in scans], [log.held for log in logs])
    for log in logs[1:]:
        found = f"{log.origin!r:.200}"
        yield Finding(FindingCode.SEVERAL_LOGS, log.runs[0].place, f"segments of {logs[0].origin!r:.200}", found)


def _earlier(log: Log, verified: Sequence[Verified]) -> list[range]:
    """Return the numbers of the entries of a log that were verified before."""
    return [range(one.first_seq, one.seq + 1) for one in verified if one.origin == log.origin]


def _torn(finding: Finding, continued: Mapping[str, Run], logs: Sequence[Log], verified: Sequence[Verified]) -> Finding:
    """Return a finding as it is with all segments in view; a torn end goes on from the run `continued` at its path."""
    before = continued.get(finding.place.path) if finding.code is FindingCode.TORN_TAIL else None
    log = next((one for one in logs if before and one.origin == before.origin), None)
    return check_torn(finding, before, log, _earlier(log, verified)) if before and log else finding


def _demanded(
    logs: Sequence[Log],
    coverages: Mapping[str | None, Coverage],
    verified: Sequence[Verified],
    demands: Demands,
) -> Iterator[Finding]:
    code = FindingCode.MISSING_START if demands.from_genesis else FindingCode.PARTIAL_LOG
    before, count = {one.origin: one for one in verified}, 0
    for log in logs:
        first, last, earlier = log.runs[0], log.last, before.get(log.origin)
        first_seq = min(first.first_seq, earlier.first_seq) if earlier else first.first_seq
        count += last.last_seq + 1 - first_seq if earlier else log.count
        if first_seq:
            yield Finding(code, first.place, "entry 0", f"entry {first_seq}")
        # What nobody has signed has the time that somebody wanted it to have; an anchor says of no time.
        coverage = coverages[log.origin]
        signed_at = coverage.signed_at if demands.level else ""
        is_timeless = Level.A0 < demands.level <= coverage.level and not coverage.pins
        latest = "" if is_timeless else signed_at or last.last_timestamp
        if demands.not_before and latest < demands.not_before:
            place = Place(last.place.path, seq=last.last_seq)
            expected = f"{'a signed' if signed_at or is_timeless else 'an'} entry since {demands.not_before}"
            yield Finding(FindingCode.TOO_OLD, place, expected, latest or "none that a key that counts has signed")
    if count < demands.min_records:
        place = logs[0].runs[0].place if logs else Place("")
        yield Finding(FindingCode.TOO_FEW, place, f"{demands.min_records} entries", f"{count} entries")


def _unless_moved(findings: Iterable[Finding], moved: str) -> Iterator[Finding]:
    """Yield the findings; what is not there is no contradiction if something was taken away under the reader."""
    for one in findings:
        is_absence = one.code in {FindingCode.ROLLED_BACK, FindingCode.REPLACED}
        if moved and is_absence:
            yield value.replace(one, code=FindingCode.SHORT_OF_HEAD, found=f"{one.found}; {moved}")
        else:
            yield one


def _unless_all_known(findings: Iterable[Finding], replacing: Collection[str | None]) -> Iterator[Finding]:
    """Yield the findings; a log that is not there was exchanged only if one is there that was not known beside it."""
    for one in findings:
        if one.code is FindingCode.REPLACED and not replacing:
            yield value.replace(one, code=FindingCode.SHORT_OF_HEAD, found=f"{one.found}, known as well")
        else:
            yield one


def _accepted(finding: Finding) -> Finding:
    """Return a finding without an effect on the verdict, if an acknowledgement of it counts."""
    counts = finding.acknowledged is not None and not finding.acknowledged.problem
    return value.replace(finding, is_accepted=True) if counts else finding


def _empty(scans: Sequence[Scan], given: Sequence[Segment], named: Collection[str], ends: Sequence[End]) -> list[str]:
    """Return the paths of empty files that stand for a log of which nothing is there, whatever other logs are there."""
    without = {one.segment.path for one in scans if not one.entries}
    holding = [segment.path for segment in given if segment.path not in without]
    # The entries of a log that was rotated into another directory are known to be here by its sidecar.
    held = (str(end.sidecar.log) for end in ends if end.comparison and end.comparison.standing is Standing.HELD)
    holding += held
    empty = [one.segment.path for one in scans if one.is_empty]
    return [path for path in empty if not is_left_by_rotation(path, named, holding)]


def _nothing(
    scans: Sequence[Scan], missed: Sequence[str], *, is_anything_known: bool, allow_empty: bool
) -> Iterator[Finding]:
    """Yield what was named and is not there, and that nothing is there at all; `missed` are empty files."""
    absences = [one.absence for one in scans if one.absence]
    for absence in absences:
        if not (allow_empty and isinstance(absence, EmptyDirectory)):
            yield Finding(FindingCode.NO_ENTRIES, Place(absence.path), "a segment", absence.reason)
    for path in missed:
        yield Finding(FindingCode.NO_ENTRIES, Place(path), "entries", "none")
    if not (absences or missed or is_anything_known or allow_empty or any(one.entries for one in scans)):
        yield Finding(FindingCode.NO_ENTRIES, Place(""), "entries", "none")  # nothing but a sidecar was named
