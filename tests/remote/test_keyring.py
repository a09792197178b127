"""A login in the keyring of the desktop: nothing of it is on the disk, and nothing stands in for a keyring."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from support.login import World, servers
from support.remote import text_of

# A keyring that a desktop would hold in memory; as soon as the file of its secrets is gone, it is locked.
DESKTOP: Final = """
import json, pathlib
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked
FILE = pathlib.Path({file!r})
class Backend(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return self._all().get(service + " " + username)
    def set_password(self, service, username, password):
        FILE.write_text(json.dumps({{**self._all(), service + " " + username: password}}))
    def delete_password(self, service, username):
        secrets = self._all()
        del secrets[service + " " + username]
        FILE.write_text(json.dumps(secrets))
    def _all(self):
        if not FILE.exists():
            raise KeyringLocked()
        return json.loads(FILE.read_text())
"""


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Generator[World]:
    (tmp_path / "desktop.json").write_text("{}", encoding="utf-8")
    (tmp_path / "desktop.py").write_text(DESKTOP.format(file=str(tmp_path / "desktop.json")), encoding="utf-8")
    with servers(tmp_path) as both:
        world = both.world(tmp_path)
        extra = {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "desktop.Backend"}
        stage = replace(
            world.stage,
            policy=world.stage.policy.replace("{callback_port", "{store: keyring, callback_port"),
            extra_environment={**world.stage.extra_environment, **extra},
        )
        yield replace(world, stage=stage)


def _kept(place: World) -> dict[str, Any]:
    secrets = json.loads((place.stage.directory / "desktop.json").read_bytes())
    assert list(secrets) == [f"aegis-mcp {place.store / 'remote.json'}"]
    return json.loads(next(iter(secrets.values())))


def _files(place: World) -> list[str]:
    return [path.name for path in place.store.iterdir()]


def test_a_login_is_kept_renewed_and_forgotten_in_the_keyring_alone(place: World) -> None:
    assert place.login().status == 0
    before = _kept(place)["tokens"]
    place.order("expire")
    with place.host() as host:
        host.initialize()
        assert text_of(host.call("greet", {"name": "Ada"})) == "Hello, Ada!"
    assert place.done == ["register", "authorize", "exchange", "refresh"]
    assert _kept(place)["tokens"]["refresh_token"] != before["refresh_token"]
    assert _files(place) == ["remote.lock"]
    assert place.command("logout", "remote").stdout == "logged out of 'remote'\n"
    assert (place.stage.directory / "desktop.json").read_text(encoding="utf-8") == "{}"
    assert place.command("logout", "remote").stdout == "there was no login at 'remote'\n"


def test_a_keyring_that_is_locked_is_said_and_no_file_takes_its_place(place: World) -> None:
    why = "the credentials of 'remote' in the keyring cannot be used: the keyring does not answer: KeyringLocked"
    place.login()
    with place.host() as host:
        host.initialize()
        (place.stage.directory / "desktop.json").unlink()
        place.order("expire")
        said = text_of(host.call("greet", {"name": "Ada"}))
    assert said == f"No answer: the upstream 'remote' cannot be asked: {why}"
    with place.host() as host:
        assert host.process.wait(20) == 2
    assert host.stderr.decode() == f"aegis-mcp: {why}\n"
    for done in (place.login(), place.command("logout", "remote")):
        assert (done.status, why in done.stderr) == (2, True)
    assert _files(place) == ["remote.lock"]
    assert place.stage.verify().returncode == 0


def test_without_the_extra_the_start_says_what_to_install(place: World) -> None:
    (place.stage.directory / "keyring.py").write_text("raise ImportError('not installed')", encoding="utf-8")
    with place.host() as host:
        assert host.process.wait(20) == 2
    assert b"the keyring needs an extra: pip install 'aegis-mcp-gateway[keyring]'" in host.stderr
