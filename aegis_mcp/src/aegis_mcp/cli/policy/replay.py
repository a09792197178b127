"""`aegis-mcp policy replay`: what a policy would have decided on the requests in a log."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from aegis_audit.escape import defuse, escape, escape_json
from aegis_mcp.cli.options import policy_option
from aegis_mcp.cli.output import colour_of, format_option, many, print_line, refusing
from aegis_mcp.decision import Effect
from aegis_mcp.errors import ConfigError
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import Policy
from aegis_mcp.policy.replay import Replay, Replayed, Verdict
from aegis_mcp.recorded import Recorded, RecordedLog

MAX_UNKNOWN: Final = 100
"""Requests whose decision nobody can tell that are named one by one."""

_LONG: Final = 32 << 20
"""Bytes from which on a log takes long enough for a progress bar."""


@click.command()
@click.argument("logs", nargs=-1, required=True, metavar="LOG...")
@policy_option
@format_option
def replay(logs: tuple[str, ...], policy: Path | None, form: str) -> None:
    """Say what a policy would have decided on the requests in a log, and list those whose decision changes.

    Takes files, directories, globs or '-', plain or compressed. Entries hold no secrets: where a decision depends on
    what was left out, nobody can tell, which is said and counted. Limits are not replayed.

    The exit status is 0 if no decision changes, 1 if one does, or may, or if the log is damaged, and 2 if the policy
    or the log cannot be used.

    Example: aegis-mcp policy replay ~/.local/state/aegis-mcp/ --policy draft.yaml
    """
    with refusing(form, policy):
        loaded = loader.chosen(policy)
        log = RecordedLog(logs)
        account = _Account(loaded, log)
        show = _Json() if form == "json" else _Text()
        for replayed in account.replayed():
            show.add(replayed)
        if not account.requests and not log.unusable:
            raise ConfigError(f"there is nothing to replay: {'; '.join(log.damage) or 'the log holds no request'}")
    show.finish(account)
    sys.exit(account.status)


class _Account:
    """All that a replay says in the end: what came of the requests, and what of the log could not be used."""

    def __init__(self, policy: Policy, log: RecordedLog) -> None:
        self.policy = policy
        self.log = log
        self.replay = Replay(policy)

    def replayed(self) -> Iterator[Replayed]:
        """Yield every request with what the policy says to it."""
        with _progress(self.log.size) as advance:
            for recorded in self.log.requests(advance):
                yield self.replay.take(recorded)

    def count(self, verdict: Verdict) -> int:
        """Return how many requests have come to this."""
        return self.replay.verdicts[verdict]

    @property
    def requests(self) -> int:
        """Return how many requests there were."""
        return self.replay.verdicts.total()

    @property
    def status(self) -> int:
        """Return the exit status."""
        is_same = not (self.count(Verdict.CHANGED) or self.count(Verdict.UNKNOWN) or self.log.unusable)
        return 0 if is_same and not self.log.damage else 1


class _Text:
    def __init__(self) -> None:
        self._unknown = 0

    def add(self, replayed: Replayed) -> None:
        """Write a request whose decision changes, or may."""
        recorded = replayed.recorded
        was = f"{recorded.effect.value} by {recorded.rule!r}"
        if replayed.verdict is Verdict.CHANGED and replayed.effect:
            now = f"{replayed.effect.value} by {' or '.join(map(repr, replayed.rules))}"
            _print_change(_newly(replayed.effect), recorded, f"{was} -> {now}", colour_of(replayed.effect))
        elif replayed.verdict is Verdict.UNKNOWN:
            self._unknown += 1
            if self._unknown <= MAX_UNKNOWN:
                _print_change("cannot tell", recorded, f"{was} -> {'; '.join(replayed.doubts)}", None)

    def finish(self, account: _Account) -> None:
        """Write the account, and to standard error what of the log could not be used."""
        if (left := self._unknown - MAX_UNKNOWN) > 0:
            print_line(f"cannot tell      and {left:,} more")
        for line in _sentences(account):
            print_line(line)
        for line in account.log.damage:
            click.echo(defuse(line), err=True)


def _newly(effect: Effect) -> str:
    match effect:
        case Effect.ALLOW:
            return "newly allowed"
        case Effect.DENY:
            return "newly denied"
        case Effect.ASK:
            return "newly asked"
        case Effect.MONITOR:
            return "newly monitored"


def _print_change(label: str, recorded: Recorded, what: str, colour: str | None) -> None:
    place = f"seq {recorded.seq}  {recorded.timestamp}"
    print_line(
        f"{label:<15}  {place}  {escape(recorded.request.server)} {escape(_name(recorded))}  {escape(what)}", colour
    )


def _name(recorded: Recorded) -> str:
    request = recorded.request
    return request.tool or request.uri or request.prompt or request.method


def _sentences(account: _Account) -> Iterator[str]:
    moved = account.replay.moved
    same = f"{account.count(Verdict.SAME):,} the same" + (f" ({moved:,} by another rule)" if moved else "")
    changes = [f"{account.replay.changes[effect]:,} {_newly(effect)}" for effect in account.replay.changes]
    unknown = account.count(Verdict.UNKNOWN)
    parts = [same, *changes, *([f"{unknown:,} cannot be told"] if unknown else [])]
    yield f"{many(account.requests, 'request')} by {account.policy.source}: {', '.join(parts)}"
    if refused := account.count(Verdict.NOT_OF_POLICY):
        yield f"{refused:,} were refused whatever policy says (pins, protocol)"
    if limited := account.replay.limited:
        yield f"{limited:,} that may pass are counted by limits, which are not replayed"
    if unusable := account.log.unusable:
        yield f"{many(unusable, 'entry', 'entries')} of requests cannot be understood"


class _Json:
    """One object: the changes as they come, and the account. Nothing is written before there is something to say."""

    def __init__(self) -> None:
        self._before = '{"changes": ['
        self._unknown: list[dict[str, Any]] = []

    def add(self, replayed: Replayed) -> None:
        """Write a request whose decision changes; one of which that cannot be told is kept for the end."""
        if replayed.verdict is Verdict.CHANGED and replayed.effect:
            line = _entry(replayed) | {"now": replayed.effect.value, "now_by": list(replayed.rules)}
            click.echo(f"{self._before}\n{escape_json(json.dumps(line))}", nl=False)
            self._before = ","
        elif replayed.verdict is Verdict.UNKNOWN and len(self._unknown) < MAX_UNKNOWN:
            self._unknown.append(_entry(replayed) | {"doubts": list(replayed.doubts)})

    def finish(self, account: _Account) -> None:
        """Write the account and end the object."""
        begun = "\n]," if self._before == "," else self._before + "],"
        rest = escape_json(json.dumps(self._rest(account), indent=2))
        click.echo(begun + rest[1:])

    def _rest(self, account: _Account) -> dict[str, Any]:
        return {
            "unknown": {"count": account.count(Verdict.UNKNOWN), "first": self._unknown},
            "source": account.policy.source,
            "sha256": account.policy.sha256,
            "requests": account.requests,
            "same": account.count(Verdict.SAME),
            "same_by_another_rule": account.replay.moved,
            "newly": {effect.value: account.replay.changes[effect] for effect in Effect},
            "not_of_policy": account.count(Verdict.NOT_OF_POLICY),
            "limited": account.replay.limited,
            "unusable": account.log.unusable,
            "damage": list(account.log.damage),
            "ok": account.status == 0,
            "exit_code": account.status,
        }


def _entry(replayed: Replayed) -> dict[str, Any]:
    recorded = replayed.recorded
    return {
        "seq": recorded.seq,
        "timestamp": recorded.timestamp,
        "server": recorded.request.server,
        "name": _name(recorded),
        "was": recorded.effect.value,
        "was_by": recorded.rule,
    }


@contextmanager
def _progress(size: int) -> Generator[Callable[[int], None]]:
    """Give a function to call with the bytes of each step; a long log shows a bar on a terminal.

    Where the result goes to the terminal as well, it shows by itself that it goes on.
    """
    if size < _LONG or not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=size, label="reading", file=sys.stderr) as bar:
        yield bar.update
