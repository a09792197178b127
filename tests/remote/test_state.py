"""The state of a login: what this machine has not sent out for this upstream and this time is refused."""

from __future__ import annotations

import base64
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_mcp.errors import ConfigError, StateRefused
from aegis_mcp.upstream.state import StateSecret, secret_from

NOW: Final = 1_800_000_000
SECRET: Final = secret_from({"OAUTH_STATE_SECRET": "s" * 32})
ENVELOPE: Final = SECRET.seal("nonce", "tickets", NOW + 300)


def _refusal(envelope: str, upstream: str = "tickets", now: float = NOW) -> str:
    with pytest.raises(StateRefused) as caught:
        SECRET.open(envelope, upstream, now)
    return str(caught.value)


def test_what_was_sealed_is_opened_until_it_expires() -> None:
    assert [SECRET.open(ENVELOPE, "tickets", now) for now in (NOW, NOW + 300)] == ["nonce", "nonce"]
    assert _refusal(ENVELOPE, now=NOW + 301) == "it has expired"


def test_a_state_for_another_upstream_is_refused() -> None:
    assert _refusal(ENVELOPE, "mail") == "it belongs to the login at another upstream"


def test_a_state_under_another_secret_is_refused() -> None:
    other = secret_from({"OAUTH_STATE_SECRET": "t" * 32})
    assert _refusal(other.seal("nonce", "tickets", NOW + 300)) == "it is not one that Aegis has made under this secret"


@pytest.mark.parametrize("position", range(len(ENVELOPE)))
def test_a_state_with_any_character_changed_is_refused(position: int) -> None:
    changed = "A" if ENVELOPE[position] != "A" else "B"
    assert _refusal(ENVELOPE[:position] + changed + ENVELOPE[position + 1 :]).startswith("it is not one")


@given(st.text(max_size=200))
def test_no_text_is_taken_for_a_state(text: str) -> None:
    assert _refusal(text).startswith("it is not one")


def test_a_digest_is_bound_to_its_purpose() -> None:
    body = ENVELOPE.partition(".")[0]
    assert _refusal(f"{body}.{base64.urlsafe_b64encode(bytes(32)).decode().rstrip('=')}").startswith("it is not one")


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_short_secret_is_refused_with_a_way_to_make_one(length: int) -> None:
    with pytest.raises(ConfigError, match=r"at least 32 characters; make one with: python3 -c") as caught:
        secret_from({"OAUTH_STATE_SECRET": "§" * length})
    assert "§" not in str(caught.value)


def test_no_secret_at_all_is_refused_like_a_short_one() -> None:
    with pytest.raises(ConfigError, match="OAUTH_STATE_SECRET is not set"):
        secret_from({})


def test_thirty_two_characters_are_enough_and_do_not_show_themselves() -> None:
    assert repr(secret_from({"OAUTH_STATE_SECRET": "s" * 32})) == repr(StateSecret(b"x")) == "StateSecret(…)"
