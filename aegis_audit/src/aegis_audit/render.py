"""Results for people: text, in colour on a terminal, plain and complete in a pipe.

Everything that a log or a path has chosen is escaped on its way through here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from aegis_audit.answer import Settled, Unanswered
from aegis_audit.escape import defuse, escape
from aegis_audit.finding import Acknowledgement, Finding, FindingCode, Place
from aegis_audit.level import Level
from aegis_audit.listing import Listing
from aegis_audit.reading import Reading
from aegis_audit.repair import Step
from aegis_audit.report import NO_END_KNOWN, AnchorReport, LogReport, Report
from aegis_audit.row import ANSWER_UNKNOWN, NOTHING, Row, row_of
from aegis_audit.screen import GAP, MAX_SHOWN, Screen, many
from aegis_audit.summary import MAX_NAMES, MAX_REASONS, OTHER, Summary
from aegis_audit.verdict import Verdict

_SLOWEST: Final = 10

# What an option has asked for and is not there: the option says what to do about it.
_DEMANDED: Final = {
    FindingCode.MISSING_START,
    FindingCode.TOO_FEW,
    FindingCode.TOO_OLD,
    FindingCode.UNCOVERED,
    FindingCode.TOO_WEAK,
}

_STYLES: Final = {
    Verdict.VALID: "bold green",
    Verdict.TAMPERED: "bold red",
    Verdict.CORRUPT: "bold red",
    Verdict.INCOMPLETE: "bold yellow",
    Verdict.UNVERIFIABLE: "bold yellow",
    Verdict.UNREADABLE: "bold magenta",
}
_RESULT_STYLES: Final = {
    "ok": "green",
    "deny": "red",
    "tool_error": "yellow",
    "rpc_error": "yellow",
    "upstream_lost": "yellow",
    ANSWER_UNKNOWN: "yellow",
}


# Verification.


def verification(report: Report) -> None:
    """Write a report to standard output, the verdict first."""
    screen = Screen(sys.stdout)
    verdict = report.verdict
    what = f"{many(report.entries, 'entry', 'entries')} in {many(len(report.segments), 'segment')}"
    # A log that contradicts itself has no level: what a signature covers is no longer all that is there.
    level = f", level {report.level.title}" if verdict in {Verdict.VALID, Verdict.INCOMPLETE} else ""
    screen.line((verdict.name, _STYLES[verdict]), f"  {what}{level}; exit status {verdict.exit_code}")
    screen.line()
    heads = ("ENTRIES", "FIRST", "LAST", "BYTES", "SEGMENT")
    segments = (
        (f"{one.entries:,}", _number(one.first_seq), _number(one.last_seq), f"{one.size:,}", escape(one.path))
        for one in report.segments
    )
    screen.table(heads, segments, numbers=4)
    for log in report.logs:
        _log(screen, log)
    _ends(screen, report)
    _findings(screen, report)
    _notes(screen, report)
    uncovered = sum(log.uncovered[report.level] for log in report.logs)
    by = report.level.name if report.level else "any signature that counts"
    screen.prose(f"Not covered by {by}: {many(uncovered, 'entry', 'entries')}. {report.level.not_shown}")


def plan(report: Report, steps: Sequence[Step]) -> None:
    """Write what has to be done to standard output, finding by finding."""
    screen = Screen(sys.stdout)
    verdict = report.verdict
    what = f"{many(len(steps), 'step')}; nothing was changed; exit status {verdict.exit_code}"
    screen.line((verdict.name, _STYLES[verdict]), f"  {what}")
    for number, step in enumerate(steps[:MAX_SHOWN], 1):
        screen.line()
        code = step.finding.code
        screen.line(f"{number}. ", (code.identifier, _STYLES[code.verdict]), f"  {code.title}")
        screen.line(f"   at   {_place(step.finding.place)}")
        if missing := step.finding.missing:
            screen.line(f"   entries {missing.start} to {missing[-1]}")
        screen.prose(step.do)
        for word, command in (("", step.command), ("If there is none:  ", step.otherwise)):
            if command:
                screen.line(f"   {word}{defuse(command)}")
    if left := len(steps[MAX_SHOWN:]):
        screen.line(f"and {many(left, 'more step')}; --format json has them")


def _log(screen: Screen, log: LogReport) -> None:
    origin = "of unknown origin" if log.origin is None else escape(log.origin)
    entries, sessions = many(log.entries, "entry", "entries"), many(log.sessions, "session")
    screen.line(f"Log {origin}: {entries}, {log.first_seq} to {log.last_seq}, {sessions}")
    screen.line(f"  head {log.head_hash}")
    for level, uncovered in log.uncovered.items():
        if Level.A0 < level <= log.level:
            screen.line(f"  {level.title}, not covered: {many(uncovered, 'entry', 'entries')} of {log.entries:,}")
    for key, source in log.keys:
        screen.line(f"  by key {escape(key)}, {escape(source)}")
    _keys_missing(screen, log)
    screen.line()


def _keys_missing(screen: Screen, log: LogReport) -> None:
    """Say what a log lacks for a higher level, and how to get it."""
    if log.is_of_host:
        screen.prose("This key is as trustworthy as this host. One that was kept elsewhere counts with --key.")
    if log.key_problem:
        screen.prose(f"The keys of this host do not count: {defuse(log.key_problem)}")
    if log.level is Level.A0 and not log.declared:
        screen.line("  no signature covers an entry")
    elif log.level is Level.A0 and log.is_key_known:
        screen.prose("A key counts for this log, and no checkpoint that it has signed covers one of these entries.")
    elif log.level is Level.A0:
        screen.line("  not covered by a key that counts: all entries. The log says that it is signed by")
        for key in log.declared[:_SLOWEST]:
            screen.line(f"    {escape(key)}")
        screen.prose(
            "Give one of them with --key if you know from elsewhere that it is the log's: on the host that writes it, "
            "`aegis-audit keygen --public ORIGIN` shows them, where ORIGIN is the name of the log."
        )


def _ends(screen: Screen, report: Report) -> None:
    """Write what is known of the end of each log, and how more could be known."""
    for one in report.sidecars:
        known = f"sidecar {escape(one.path)}" if one.seq is None else f"sidecar {escape(one.path)}, entry {one.seq}"
        screen.line(f"Compared with {known}: {escape(one.standing)}")
    for one in report.anchors:
        what = f"Compared with checkpoint {escape(one.path)} of {many(one.size, 'entry', 'entries')}"
        screen.line(f"{what}: {escape(one.standing)}{_witnesses(one)}")
        if one.stamped_by is not None:
            screen.line(f"  entries up to {one.size - 1} were there at {one.stamped_at}, by {escape(one.stamped_by)}")
        if one.stamp_problem:
            screen.line(f"  its time stamp proves nothing here: {escape(one.stamp_problem)}; see --tsa-certificate")
    for one in report.earlier:
        origin = "of unknown origin" if one.origin is None else escape(one.origin)
        what = f"Not read again: entries {one.first_seq} to {one.last_seq} of log {origin}"
        screen.line(f"{what}, verified at {one.verified_at}")
    if not (report.sidecars or report.earlier or any(one.is_outside for one in report.anchors)):
        screen.prose(NO_END_KNOWN)
    screen.line()


def _witnesses(one: AnchorReport) -> str:
    """Say who has cosigned a checkpoint, and whether that is enough."""
    if not one.cosigned:
        return ""
    names = ", ".join(escape(name) for name, _ in one.cosigned)
    return f"; cosigned by {names}, which is {'the' if one.is_witnessed else 'not the'} quorum"


def _findings(screen: Screen, report: Report) -> None:
    shown = [finding for finding in report.findings if not finding.code.is_note][:MAX_SHOWN]
    for finding in shown:
        screen.line((finding.code.identifier, _STYLES[finding.code.verdict]), f"  {finding.code.title}")
        screen.line(f"  at        {_place(finding.place)}")
        for name, text in (("expected", finding.expected), ("found", finding.found)):
            if text:
                screen.line(f"  {name:8}  {defuse(text)}")
        if finding.acknowledged:
            _acknowledgement(screen, finding.acknowledged, is_accepted=finding.is_accepted)
        screen.line()
    if left := sum(count for code, count in report.counts.items() if not code.is_note) - len(shown):
        screen.line(f"and {many(left, 'more finding')}; --format json has more")
        screen.line()
    if any(finding.code not in _DEMANDED and not finding.is_accepted for finding in shown):
        screen.line("What to do about it: `aegis-audit repair --plan`, with the same paths and keys.")
        screen.line()


def _acknowledgement(screen: Screen, one: Acknowledgement, *, is_accepted: bool) -> None:
    """Say what a person has recorded of a finding, and what follows from it."""
    screen.line(f"  acknowledged in entry {one.seq} at {one.timestamp} by {defuse(one.by)}: {defuse(one.note)}")
    if one.problem:
        screen.line(f"  which does not count: {one.problem}")
    else:
        screen.line("  accepted" if is_accepted else "  --accept-acknowledged accepts it")


def _notes(screen: Screen, report: Report) -> None:
    shown = [finding for finding in report.findings if finding.code.is_note][:MAX_SHOWN]
    for note in shown:
        _in_brief(screen, note)
    if left := sum(count for code, count in report.counts.items() if code.is_note) - len(shown):
        screen.line(f"and {many(left, 'more note')}; --format json has more")
    if shown:
        screen.line()


def _in_brief(screen: Screen, finding: Finding) -> None:
    code = finding.code
    style = "dim" if code.is_note else _STYLES[code.verdict]
    detail = f"expected {defuse(finding.expected)}, found {defuse(finding.found)}"
    screen.line((code.identifier, style), f" {_place(finding.place)}: {code.title} ({detail})")


def _place(place: Place) -> str:
    parts = (("line", place.line), ("byte", place.offset), ("seq", place.seq))
    return ", ".join([escape(place.path), *(f"{name} {value}" for name, value in parts if value is not None)])


# Entries.


class _Column(NamedTuple):
    """A column of the table of entries: its width at least, and how it shares what a wide terminal has to spare."""

    name: str
    width: int
    share: int = 0
    is_number: bool = False


# A terminal too narrow for all leaves out the last ones of `_OPTIONAL` first; the others need 80 columns.
_COLUMNS: Final = (
    _Column("seq", 6, is_number=True),
    _Column("time", 14),
    _Column("type", 15),
    _Column("server", 7, share=1),
    _Column("name", 13, share=3),
    _Column("result", 20),
    _Column("rule", 10, share=2),
    _Column("access", 6),
    _Column("ms", 10, is_number=True),
    _Column("trace", 8),
)
_OPTIONAL: Final = ("ms", "type", "trace", "access")
_SHORT_TIME: Final = slice(5, 19)


class EntryTable:
    """The table of entries, row by row as they come: on a terminal cut to its width, in a pipe complete."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._columns = _fitting(screen.width) if screen.is_terminal else _in_pipe()
        self._is_begun = False

    def add(self, one: Settled) -> None:
        """Write one entry, and before the first the heads of the columns."""
        if not self._is_begun:
            self._is_begun = True
            self._line({column.name: column.name.upper() for column in self._columns}, "bold", "bold")
        row = row_of(one.found.entry, is_unanswered=one.is_unanswered)
        cells = {name: escape(text) for name, text in row._asdict().items()}
        if self._screen.is_terminal:
            cells["time"] = cells["time"][_SHORT_TIME].replace("T", " ")
        self._line(cells, "", _RESULT_STYLES.get(row.result, ""))

    def _line(self, cells: dict[str, str], style: str, result_style: str) -> None:
        pieces: list[tuple[str, str]] = []
        for column in self._columns:
            text = self._screen.fit(cells[column.name], column.width, is_number=column.is_number)
            pieces += [(text, result_style if column.name == "result" else style), (GAP, "")]
        pieces[-2:] = [(pieces[-2][0].rstrip(), pieces[-2][1])]
        self._screen.line(*pieces)


def _fitting(width: int) -> list[_Column]:
    """Return the columns that fit into a terminal, with what it has to spare shared among them."""
    shown = [column for column in _COLUMNS if column.name not in _OPTIONAL]
    spare = width - sum(column.width for column in shown) - len(GAP) * (len(shown) - 1)
    for name in _OPTIONAL:
        column = next(column for column in _COLUMNS if column.name == name)
        if spare < column.width + len(GAP):
            break
        spare -= column.width + len(GAP)
        shown.append(column)
    shares = sum(column.share for column in shown)
    grown = [column._replace(width=column.width + max(0, spare) * column.share // shares) for column in shown]
    return sorted(grown, key=lambda column: Row._fields.index(column.name))


def _in_pipe() -> list[_Column]:
    """Return all columns at usual widths: nothing is cut in a pipe, and a longer value moves what stands behind it."""
    return [column._replace(width=27) if column.name == "time" else column for column in _fitting(150)]


# What concerns a reading as a whole.


def account(screen: Screen, listing: Listing) -> None:
    """Write what became of every line that was read."""
    reading = listing.reading
    parts = [f"{listing.shown:,} shown", f"{listing.filtered:,} filtered", f"{reading.damaged:,} damaged"]
    parts += [f"{reading.repeated:,} repeated"] if reading.repeated else []
    parts += [f"{reading.attested:,} torn and attested"] if reading.attested else []
    end = "; stopped at the limit, the rest was not read" if listing.is_cut_short else ""
    screen.line(f"{' + '.join(parts)} = {many(reading.total, 'line')}{end}")


def damage(screen: Screen, reading: Reading) -> None:
    """Write where the lines stand that could not be used, and what is wrong with them."""
    shown = reading.findings()[:MAX_SHOWN]
    for finding in shown:
        _in_brief(screen, finding)
    if left := reading.found - len(shown):
        screen.line(f"and {many(left, 'more finding')}; --format json has more")


def unanswered(screen: Screen, intents: Unanswered) -> None:
    """Write which requests were sent and have no answer in what was read."""
    if intents.count:
        numbers = ", ".join(str(intent.seq) for intent in intents.first())
        more = ", …" if intents.count > len(intents.first()) else ""
        screen.line(f"{ANSWER_UNKNOWN}: {many(intents.count, 'request')} (seq {numbers}{more})")


# A summary.


def summary(summed: Summary) -> None:
    """Write a summary to standard output."""
    screen = Screen(sys.stdout)
    or_more = " or more" if summed.has_more_sessions else ""
    screen.line((many(summed.entries, "entry", "entries"), "bold"), f" in {many(summed.sessions, 'session')}{or_more}")
    screen.line(f"from {summed.first_time or NOTHING} to {summed.last_time or NOTHING}")
    if count := summed.unanswered.count:
        screen.line(f"{many(count, 'request')} {ANSWER_UNKNOWN}")
    screen.line()
    for table in (*_tallies(summed), _tools(summed), _slowest(summed), _denials(summed), _unanswered(summed)):
        if table.rows:
            screen.table(table.heads, table.rows, numbers=table.numbers)
    screen.prose(
        "A request counts once, by its intent or its denial. P50 is an estimate to within 1/32, MAX is exact. "
        f"{MAX_NAMES:,} names are told apart in one table, and {MAX_REASONS} reasons for a rule; {OTHER} is the rest."
    )


class _Table(NamedTuple):
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    numbers: int


def _tallies(summed: Summary) -> Iterator[_Table]:
    tallies = {
        "TYPE": summed.types,
        "SECURITY EVENT": summed.kinds,
        "DECISION": summed.decisions,
        "STATUS": summed.statuses,
        "SERVER": summed.servers,
    }
    for head, tally in tallies.items():
        yield _Table(("COUNT", head), [(f"{count:,}", escape(name)) for name, count in tally.ranked()], 1)


def _tools(summed: Summary) -> _Table:
    rows = [(f"{one.requests:,}", f"{one.denied:,}", escape(one.server), escape(one.name)) for one in summed.tools()]
    return _Table(("REQUESTS", "DENIED", "SERVER", "TOOL"), rows, 2)


def _slowest(summed: Summary) -> _Table:
    rows = [
        (_ms(took.median), _ms(took.maximum), f"{took.count:,}", escape(tool.server), escape(tool.name))
        for tool in summed.slowest()[:_SLOWEST]
        for took in (tool.durations,)
    ]
    return _Table(("P50 MS", "MAX MS", "ANSWERS", "SERVER", "SLOWEST TOOL"), rows, 3)


def _denials(summed: Summary) -> _Table:
    rows = [
        (f"{count:,}", escape(rule), escape(reason))
        for rule, denials in summed.denials()
        for reason, count in denials.reasons.ranked()
    ]
    return _Table(("DENIED", "RULE", "REASON"), rows, 1)


def _unanswered(summed: Summary) -> _Table:
    intents = summed.unanswered.first()
    rows = [(str(one.seq), one.timestamp, escape(one.server), escape(one.name)) for one in intents]
    return _Table(("SEQ", "TIME", "SERVER", ANSWER_UNKNOWN.upper()), rows, 1)


def _number(value: int | None) -> str:
    return NOTHING if value is None else str(value)


def _ms(microseconds: int | None) -> str:
    return NOTHING if microseconds is None else f"{microseconds / 1000:,.3f}"
