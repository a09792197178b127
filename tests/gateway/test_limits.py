"""How often something may happen, counted over all gateways of one log."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from aegis_mcp.limits import Limiter
from aegis_mcp.lock import try_lock, unlock
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import Policy
from support.scripted import Scripted, done, text

POLICY: Final = """\
version: 1
defaults: {read: allow, write: allow}
limits:
  - {match: {tool: put}, rate: 3/hour}
  - {match: {access: write}, rate: 4/hour}
pins: "off"
"""
SECOND: Final = 1_000_000_000


def _policy(rate: str) -> Policy:
    return loader.load(f"version: 1\nlimits: [{{match: {{tool: x}}, rate: {rate}}}]\n".encode(), "p.yaml")


@pytest.mark.usefixtures("either_way")
def test_two_gateways_of_one_log_share_a_limit_and_a_refusal_names_it(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": done()})
    with scripted.wrap() as one, scripted.wrap() as other:
        one.initialize()
        other.initialize()
        said = [text(host.call("put", {})) for host in (one, other, one, other, one)]
        others = [text(other.call("post", {})) for _ in range(2)]
    assert said[:3] == ["done"] * 3
    assert [word.startswith("Denied by 'limits.1': at most 3/hour") for word in said] == [False] * 3 + [True] * 2
    assert [word.startswith("Denied by 'limits.2': at most 4/hour") for word in others] == [False, True]
    assert "in line 4 of" in said[-1]
    assert len(scripted.received("tools/call")) == 4
    denied = [entry["event"]["rule"] for entry in scripted.stage.requests() if entry["event_type"] == "access_denied"]
    assert sorted(denied) == ["limits.1", "limits.1", "limits.2"]


def test_a_bucket_fills_up_evenly_and_never_beyond_its_size(tmp_path: Path) -> None:
    now = 1000 * SECOND
    limiter = Limiter(tmp_path / "limits", clock=lambda: now)
    limits = _policy("2/second").limits
    assert [limiter.take(limits) for _ in range(3)] == [None, None, 0]
    now += SECOND // 2
    assert [limiter.take(limits) for _ in range(2)] == [None, 0]
    now += 3600 * SECOND
    assert [limiter.take(limits) for _ in range(3)] == [None, None, 0]


@pytest.mark.parametrize(
    "torn", ['{"torn', "5", '{"a": [1, 1e999]}', '{"a": [NaN, 1]}', '{"a": [-1, 1]}', "[" * 100_000]
)
def test_a_clock_that_was_set_back_fills_nothing_and_a_torn_file_is_an_empty_bucket(tmp_path: Path, torn: str) -> None:
    now = 1000 * SECOND
    limiter = Limiter(tmp_path / "limits", clock=lambda: now)
    limits = _policy("1/minute").limits
    assert limiter.take(limits) is None
    now -= 500 * SECOND
    assert limiter.take(limits) == 0
    now += 60 * SECOND
    (tmp_path / "limits").write_text(torn, encoding="ascii")
    assert limiter.take(limits) == 0
    now += 60 * SECOND
    assert limiter.take(limits) is None


def test_what_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, POLICY, **{"tools/call": done()})
    with scripted.wrap() as host:
        host.initialize()
        assert text(host.call("put", {})) == "done"
        with (scripted.stage.log.parent / "audit.tlog" / "limits").open("rb") as held:
            assert try_lock(held.fileno())
            refused = text(host.call("put", {}))
            unlock(held.fileno())
        assert text(host.call("put", {})) == "done"
    assert "it cannot be counted (another process holds limits)" in refused
