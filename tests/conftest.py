"""Which tests can run here: one that lacks a program is skipped with the reason.

Where AEGIS_FORBID_SKIPS is set, every skip fails: a green run has run everything.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from typing import Final, TypeVar

import hypothesis
import pytest

from support.gateway import OVER_HTTP
from support.journals import close_all
from support.tools import missing

_MARKERS: Final = ("node", "servers", "jq", "logrotate", "openssl", "strace", "mount")
_IS_FORBIDDEN: Final = bool(os.environ.get("AEGIS_FORBID_SKIPS"))

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_configure() -> None:
    """Let a run that counts always try the same examples, and signals mean what they mean on a terminal.

    How long an example takes says something about the machine only.

    In a process that was started in the background Ctrl-C and a hang-up are ignored, and so in those that it starts.
    """
    hypothesis.settings.register_profile("ours", deadline=None)
    hypothesis.settings.register_profile("counts", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("counts" if _IS_FORBIDDEN else "ours")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that cannot run here."""
    for marker in _MARKERS:
        if item.get_closest_marker(marker) and (reason := missing(marker)):
            pytest.skip(reason)


@pytest.fixture(autouse=True)
def _closed_journals() -> Iterator[None]:
    """Close the journals of a test: its process has others to come, and no more files than any process."""
    yield
    close_all()


@pytest.fixture
def over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put every upstream of a test behind HTTP."""
    monkeypatch.setenv(OVER_HTTP, "1")


@pytest.fixture(params=["command", "url"])
def either_way(request: pytest.FixtureRequest) -> None:
    """Run a test with an upstream on pipes, and again with the same one behind HTTP: what holds here holds there."""
    if request.param == "url":
        request.getfixturevalue("over_http")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that was skipped, where that is forbidden."""
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a module that was skipped as a whole, where that is forbidden."""
    return _judged((yield))


def _judged(report: Report) -> Report:
    if _IS_FORBIDDEN and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        report.outcome = "failed"
        report.longrepr = f"no test may be skipped here: {reason}"
    return report
