"""Whatever a server lists and whoever starts it: what may be used is what was first seen, or approved."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aegis_mcp.pins import approval
from aegis_mcp.pins.approval import Choice
from aegis_mcp.pins.definition import Kind
from aegis_mcp.pins.quarantine import Pins
from aegis_mcp.pins.storage import PinFile
from support.definitions import NOW, lock_file, pins

NAMES = st.sampled_from("abc")
ORIGINS = st.sampled_from(["[1]", "[2]"])
LISTS = st.dictionaries(NAMES, st.integers(0, 2), max_size=3)


class History(RuleBasedStateMachine):
    """A server that may be started from two places, and says one of three things of each of three tools."""

    def __init__(self) -> None:
        super().__init__()
        self.room = tempfile.TemporaryDirectory()
        self.directory = Path(self.room.name)
        self.origin = "[1]"
        self.pinned: dict[str, dict[str, int]] = {"[1]": {}, "[2]": {}}
        self.waiting: dict[str, dict[str, int]] = {"[1]": {}, "[2]": {}}
        self.settled: set[str] = set()
        self.offered: dict[str, int] = {}
        self.is_later = False
        self.run = self._start()

    def _start(self) -> Pins:
        return pins(self.directory, origin=self.origin)

    def teardown(self) -> None:
        self.room.cleanup()

    def _is_first_use(self, origin: str) -> bool:
        own, other = self.pinned[origin], self.pinned["[2]" if origin == "[1]" else "[1]"]
        is_begun = bool(own) and not self.is_later
        return origin not in self.settled and (is_begun or (not own and not other))

    @rule(listed=LISTS, is_complete=st.booleans())
    def look(self, listed: dict[str, int], is_complete: bool) -> None:
        """List some tools."""
        own, waiting = self.pinned[self.origin], self.waiting[self.origin]
        if self._is_first_use(self.origin):
            own.update({name: version for name, version in listed.items() if name not in own})
            if is_complete and own:
                self.settled.add(self.origin)
        for name, version in listed.items():
            waiting.pop(name, None)
            if own.get(name) != version:
                waiting[name] = version
        self.offered |= listed
        definitions = {name: {"name": name, "description": f"{version}"} for name, version in listed.items()}
        self.run.look(Kind.TOOL, definitions, is_complete=is_complete)

    @rule(origin=ORIGINS)
    def restart(self, origin: str) -> None:
        """Start another gateway, from here or from there."""
        self.origin = origin
        self.offered = {}
        self.is_later = bool(self.pinned[origin])
        self.run = self._start()

    @rule(name=NAMES)
    def approve(self, name: str) -> None:
        """Approve what waits under a name, in another process, and start again."""
        for origin in sorted(self.waiting, key=lambda origin: origin):
            if name in self.waiting[origin]:
                self.pinned[origin][name] = self.waiting[origin].pop(name)
                self.settled.add(origin)
        choice = Choice("files", keys=frozenset({(Kind.TOOL, name)}))
        approval.approve(PinFile(lock_file(self.directory)), choice, NOW)
        self.restart(self.origin)

    @invariant()
    def what_may_be_used_is_what_was_first_seen_or_approved(self) -> None:
        """Compare every name with the model."""
        own, waiting = self.pinned[self.origin], self.waiting[self.origin]
        for name in "abc":
            seen = self.offered.get(name, waiting.get(name))
            may_be_used = name in own and seen in {None, own[name]}
            is_open = name not in own and name not in self.offered and self._is_first_use(self.origin)
            assert (self.run.quarantined(Kind.TOOL, name) is None) == (may_be_used or is_open)


TestAnyHistory = History.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
