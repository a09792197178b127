"""The end of each log, compared with the mark in the sidecar that its writer keeps.

Only what no accident can explain is tampering. A rotation under way, a segment that was not given, a copy and a crash
of the machine leave a log that ends before its mark as well: such a log is incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aegis_audit.checks.anchors import Anchoring
from aegis_audit.checks.join import Log
from aegis_audit.checks.known import Comparison, Known, Standing, compare
from aegis_audit.finding import Finding, FindingCode, Place
from aegis_audit.sidecar import Sidecar, excuse


@dataclass(frozen=True, slots=True)
class End:
    """A sidecar, how the log stands to its mark, None where there is no mark, and to the checkpoints in it."""

    sidecar: Sidecar
    comparison: Comparison | None
    anchorings: tuple[Anchoring, ...] = ()


def known_from(sidecar: Sidecar) -> Known | None:
    """Return the entry that the log holds according to its sidecar."""
    mark = sidecar.mark
    return Known(mark.head, mark.origin, f"the sidecar {str(sidecar.path)!r}") if mark else None


def compare_end(sidecar: Sidecar, logs: Sequence[Log], anchorings: Sequence[Anchoring]) -> End:
    """Compare the logs with the mark of a sidecar; its checkpoints are among those that were held against them."""
    known = known_from(sidecar)
    # What an earlier log of the same path has left there says nothing of this one.
    ours = tuple(
        one
        for one in anchorings
        if one.anchor in sidecar.anchors and (not known or known.origin == one.anchor.checkpoint.origin)
    )
    return End(sidecar, compare(known, logs) if known else None, ours)


def check_end(end: End, logs: Sequence[Log], paths: Sequence[str], booted: int | None) -> Iterator[Finding]:
    """Yield what is wrong at the end of a log; `paths` are those of the evidence, `booted` is as `excuse` takes it."""
    sidecar, comparison = end.sidecar, end.comparison
    if comparison is None:
        yield Finding(FindingCode.NO_MARK, Place(str(sidecar.path)), "the mark of the latest entry", sidecar.problem)
    elif comparison.standing is Standing.CONTRADICTED:
        yield comparison.finding(FindingCode.FALSE_HEAD)
        return
    yield from filter(None, (one.wrong for one in end.anchorings))
    for one in (comparison, *end.anchorings):
        if one and sidecar.is_whole and one.standing in {Standing.FOREIGN, Standing.CUT_OFF}:
            yield _missing(sidecar, one, logs, paths, booted)
            return


def _missing(
    sidecar: Sidecar, comparison: Comparison | Anchoring, logs: Sequence[Log], paths: Sequence[str], booted: int | None
) -> Finding:
    in_place = [log.origin for log in logs for run in log.runs if run.place.path == str(sidecar.log)]
    if comparison.standing is Standing.FOREIGN and any(in_place):
        return comparison.finding(FindingCode.REPLACED)
    reason = excuse(sidecar, paths, booted)
    code = FindingCode.SHORT_OF_HEAD if reason else FindingCode.ROLLED_BACK
    return comparison.finding(code, reason or "what was written to this file is no longer in it")
