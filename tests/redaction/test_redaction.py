"""What the log keeps of arguments: structure always, secrets never, and never more than an entry holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit import canonical
from aegis_mcp.audit import redaction
from aegis_mcp.audit.redaction import RedactionKey, redact, scrub
from aegis_mcp.errors import ConfigError
from aegis_mcp.settings import ArgumentMode
from support.secrets import corpus, in_context, private_key

KEY = RedactionKey(bytes(32))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def _redacted(value: object) -> Any:
    return redact(value, mode=ArgumentMode.REDACTED, key=KEY)


@pytest.mark.parametrize("secret", corpus())
@pytest.mark.parametrize("text", ["{}", "use {} here", "a={}", '["{}"]', "x/{}/y", "{}."])
def test_a_credential_is_found_wherever_it_stands(secret: str, text: str) -> None:
    value = {"note": text.format(secret), "list": [{"deep": secret}], secret: 1}
    assert secret not in json.dumps(_redacted(value))
    assert secret not in scrub(text.format(secret))


@pytest.mark.parametrize(("text", "secret"), in_context())
def test_a_secret_without_a_form_is_found_by_its_place(text: str, secret: str) -> None:
    assert secret not in json.dumps(_redacted({"text": text}))
    assert secret not in scrub(text)


def test_a_private_key_goes_as_a_whole() -> None:
    kept = _redacted({"text": f"before {private_key()} after"})["text"]
    assert kept.startswith("before hmac-sha256:")
    assert "END" not in kept


@pytest.mark.parametrize(
    "name", ["password", "apiKey", "X-Api-Key", "DB_PASSWORD", "client_secret", "AUTHORIZATION", "accessToken", "pin"]
)
def test_the_value_of_a_secret_name_is_a_digest_at_any_depth(name: str) -> None:
    kept = _redacted({name: {"a": ["hunter2", 4711]}})[name]
    assert kept == {"a": [KEY.digest("hunter2"), KEY.digest("4711")]}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}, ("env", 0, "value")),
        ({"headers": [{"key": "X-Api-Key", "value": "hunter2"}]}, ("headers", 0, "value")),
        ({"args": ["run", "--token", "hunter2"]}, ("args", 2)),
        ({"args": ["run", "-password", {"a": "hunter2"}]}, ("args", 2, "a")),
        ({"api_keys": ["hunter2"]}, ("api_keys", 0)),
    ],
)
def test_a_value_beside_the_name_of_a_secret_is_a_digest(value: Any, place: tuple[Any, ...]) -> None:
    kept = json.loads(redaction.encode(value, mode=ArgumentMode.REDACTED, key=KEY))
    assert kept == _redacted(value)
    for step in place:
        kept, value = kept[step], value[step]
    assert (kept, value) == (KEY.digest("hunter2"), "hunter2")


@pytest.mark.parametrize(
    "value",
    [[{"name": "path", "value": "/srv"}], [{"name": "token", "other": "a"}], ["--path", "/srv"], ["token", "/srv"]],
)
def test_what_stands_beside_another_name_is_kept(value: list[Any]) -> None:
    assert _redacted({"list": value, "text": "--path /srv --token $TOKEN"}) == {
        "list": value,
        "text": "--path /srv --token $TOKEN",
    }


@pytest.mark.parametrize("name", ["path", "author", "passage", "key", "pinned", "secretary"])
def test_an_ordinary_name_keeps_its_value(name: str) -> None:
    assert _redacted({name: "/srv/a.txt"}) == {name: "/srv/a.txt"}


def test_the_owner_of_the_key_can_show_a_value() -> None:
    assert _redacted({"token": "hunter2"}) == {"token": KEY.digest("hunter2")}
    assert RedactionKey(bytes([1] * 32)).digest("hunter2") != KEY.digest("hunter2")


def test_hashed_keeps_no_leaf_and_full_keeps_all() -> None:
    value = {"a": "text", "b": [1, 2.5, True, None]}
    hashed = redact(value, mode=ArgumentMode.HASHED, key=KEY)
    assert hashed == {"a": KEY.digest("text"), "b": [KEY.digest("1"), KEY.digest("2.5"), True, None]}
    assert redact(value, mode=ArgumentMode.FULL, key=KEY) == value
    assert redact(value, mode=ArgumentMode.NONE, key=KEY) is None


@pytest.mark.parametrize(
    "value", [2**53, -(2**60), "x" * 20_000, {"a": ["y" * 9_000] * 10}, {"a": "z" * 1_000_000}, [[[["q"]]] * 9] * 9000]
)
def test_what_an_entry_cannot_hold_is_replaced_by_its_hash(value: object) -> None:
    kept = _redacted({"v": value})
    found = kept if "omitted" in kept else kept["v"]
    assert set(found) == {"bytes", "omitted", "sha256"}


def test_deep_nesting_is_replaced_below_its_bound() -> None:
    value: object = "leaf"
    for _ in range(100):
        value = [value]
    assert len(canonical.encode(_redacted({"v": value}))) < 1000


SECRETS = (*corpus(), *(text for text, _ in in_context()))
PIECES = st.sampled_from(
    (
        *(
            "pass",
            "pa",
            "ss",
            "word",
            "Key",
            "api",
            "K",
            "ey",
            "to",
            "ken",
            "\u017f",
            "\u212a",
            "Bearer",
            "digest",
            "p",
            "w",
        ),
        *("AKIA", "A" * 11, "eyJhbGci", "sk-", "12345678", ":", "=", "@", "://", "_", "-", ".", " ", "\n", "/", "5"),
        *("-----", "BEGIN PRIVATE KEY", "abcdef0123456789" * 2),
    )
)
TEXTS = st.lists(PIECES | st.text(max_size=2) | st.sampled_from(SECRETS), max_size=5).map("".join)
ARGUMENTS = st.recursive(
    TEXTS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


@given(ARGUMENTS | JSON)
def test_what_is_encoded_at_a_glance_is_what_a_closer_look_keeps(value: object) -> None:
    kept = redaction.encode(value, mode=ArgumentMode.REDACTED, key=KEY)
    assert kept == canonical.encode(_redacted(value))


@pytest.mark.parametrize("secret", SECRETS)
def test_no_glance_passes_over_a_secret(secret: str) -> None:
    kept = redaction.encode({"text": secret}, mode=ArgumentMode.REDACTED, key=KEY)
    assert kept == canonical.encode(_redacted({"text": secret}))
    assert secret not in kept.decode("utf-8")


@given(st.dictionaries(st.text(), JSON))
def test_whatever_comes_in_an_entry_can_hold_what_is_kept(value: dict[str, Any]) -> None:
    for mode in ArgumentMode:
        kept = redact(value, mode=mode, key=KEY)
        assert len(canonical.encode(kept)) <= redaction.MAX_ENCODED


@pytest.mark.parametrize(
    "text", ["eyJ" * 5000, "-----BEGIN PRIVATE KEY-----" * 600, "://a:" * 3000, "password=" * 1800]
)
def test_hostile_text_is_looked_through_once(text: str) -> None:
    assert isinstance(scrub(text), str)


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "key"
    umask = os.umask(0)
    try:
        first = RedactionKey.load_or_create(path)
    finally:
        os.umask(umask)
    assert RedactionKey.load_or_create(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]
    assert repr(first) == "RedactionKey()"


def test_a_key_that_others_could_know_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    RedactionKey.load_or_create(path)
    path.chmod(0o644)
    link = tmp_path / "link"
    link.symlink_to(path)
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    for refused in (path, link, empty, tmp_path):
        with pytest.raises(ConfigError, match="redaction key"):
            RedactionKey.load_or_create(refused)
