"""Which tests can run here: one that lacks a program is skipped with the reason, or fails where skips are forbidden."""

from __future__ import annotations

import os

import pytest

from support.tools import missing

_MARKERS = ("node", "logrotate", "strace", "mount")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that cannot run here."""
    for marker in _MARKERS:
        if item.get_closest_marker(marker) and (reason := missing(marker)):
            if os.environ.get("AEGIS_FORBID_SKIPS"):
                pytest.fail(reason)
            pytest.skip(reason)
