"""What an upstream sees of the environment: an allow-list, and what the policy names, whose values nobody else sees."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import pytest

from support.gateway import Stage
from support.processes import wait_until

SECRET: Final = "correct horse battery staple"
POLICY: Final = "version: 1\nupstreams: {recording: {env: {TOKEN: %s}}}\n"

# A keyring of one secret, as a desktop would have it.
KEYRING: Final = f"""
from keyring.backend import KeyringBackend
class Backend(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return {SECRET!r} if (service, username) == ("github", "me/token") else None
    def set_password(self, service, username, password): raise NotImplementedError
    def delete_password(self, service, username): raise NotImplementedError
"""


def _stage(tmp_path: Path, value: str, extra: dict[str, str] | None = None) -> Stage:
    (tmp_path / "one_secret.py").write_text(KEYRING, encoding="utf-8")
    desktop = {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "one_secret.Backend"}
    return Stage(tmp_path, policy=POLICY % json.dumps(value), extra_environment={**desktop, **(extra or {})})


def _seen(stage: Stage) -> tuple[dict[str, str], bytes]:
    """Return the environment of an upstream, and what the gateway says meanwhile."""
    seen = stage.directory / "seen"
    show = f"import os, json; open({str(seen)!r}, 'w').write(json.dumps(dict(os.environ)))"
    with stage.wrap(sys.executable, "-c", f"{show}; input()") as host:
        wait_until(lambda: seen.exists() and seen.stat().st_size > 0)
    return json.loads(seen.read_text(encoding="utf-8")), host.stderr


def test_an_upstream_gets_an_allow_list_of_the_environment(tmp_path: Path) -> None:
    extra = {"MY_TOKEN": "hidden", "AWS_SECRET_ACCESS_KEY": "hidden", "HTTPS_PROXY": "http://127.0.0.1:9"}
    seen, _ = _seen(_stage(tmp_path, "plain", extra))
    assert seen["TOKEN"] == "plain"
    assert seen["HTTPS_PROXY"] == "http://127.0.0.1:9"
    assert "hidden" not in seen.values()


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Bearer ${env:MY_TOKEN}!", f"Bearer {SECRET}!"), ("<${keyring:github/me/token}>", f"<{SECRET}>")],
)
def test_a_reference_is_resolved_for_the_upstream_alone(tmp_path: Path, value: str, expected: str) -> None:
    stage = _stage(tmp_path, value, {"MY_TOKEN": SECRET})
    seen, said = _seen(stage)
    assert seen["TOKEN"] == expected
    assert "MY_TOKEN" not in seen
    assert SECRET.encode() not in said + stage.log.read_bytes()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("${env:NOT_SET}", "the environment variable NOT_SET is not set; set it where the host starts aegis-mcp"),
        ("${keyring:github/other}", "the keyring has no 'other' of 'github'; `keyring set github other` puts it there"),
    ],
)
def test_a_reference_to_nothing_is_explained_and_nothing_starts(tmp_path: Path, value: str, why: str) -> None:
    stage = _stage(tmp_path, value)
    host = stage.wrap()
    assert host.close() == 2
    assert host.stderr == f"aegis-mcp: {why}\n".encode()
    assert not stage.received.exists()


def test_a_keyring_that_cannot_be_used_is_explained(tmp_path: Path) -> None:
    stage = _stage(tmp_path, "${keyring:github/token}", {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})
    host = stage.wrap()
    assert host.close() == 2
    assert host.stderr == b"aegis-mcp: the keyring does not answer: NoKeyringError\n"


def test_a_keyring_reference_without_the_extra_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "keyring.py").write_text("raise ImportError('not installed')", encoding="utf-8")
    host = _stage(tmp_path, "${keyring:github/token}").wrap()
    assert host.close() == 2
    expected = "aegis-mcp: the keyring needs an extra: pip install 'aegis-mcp-gateway[keyring]'\n"
    assert host.stderr.decode("utf-8") == expected
