"""A protected remote server, an authorization server, and somebody who logs in with the real command."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.commands import Done, run
from support.gateway import Stage
from support.host import GATEWAY, RawHost, environment
from support.loaded import program
from support.remote import host_of, listening, policy_for

SECRET: Final = "s" * 32
_HERE: Final = Path(__file__).parent
_BROWSER: Final = (sys.executable, "-P", str(_HERE / "browser.py"))


@dataclass(frozen=True)
class World:
    """The two servers, and a stage for gateways in front of one of them."""

    stage: Stage
    issuer: str
    url: str
    log: Path

    @property
    def store(self) -> Path:
        return self.stage.directory / "store"

    @property
    def page(self) -> Path:
        """What the browser was shown at last."""
        return _page(self.stage)

    def login(self, *changes: str) -> Done:
        """Log in with a browser that changes what it brings back in this way."""
        return log_in(self.stage, *changes)

    def login_by_hand(self, extra: Mapping[str, str], meanwhile: Callable[[], object] | None = None) -> Done:
        """Log in without a browser: somebody takes the address that is printed to one, wherever that is.

        `meanwhile` is done before that.
        """
        line = (*GATEWAY, "login", "remote", "--no-browser")
        env = environment(self.stage.directory / "home", _settings(self.stage, extra))
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, encoding="utf-8") as login:
            assert login.stderr
            said = [login.stderr.readline() for _ in range(3)]
            if meanwhile:
                meanwhile()
            subprocess.run((*_BROWSER, str(self.page), said[-1].strip()), check=True, timeout=60)
            stdout, stderr = login.communicate(timeout=60)
        return Done(login.returncode, stdout, "".join(said) + stderr)

    def command(self, *arguments: str, extra: Mapping[str, str] | None = None) -> Done:
        """Run a command of `aegis-mcp` with the policy and the log of the stage."""
        return command(self.stage, *arguments, extra=extra)

    def host(self) -> RawHost:
        """Start a gateway."""
        return host_of(self.stage)

    def order(self, what: str) -> None:
        """Have the authorization server forget something."""
        with urllib.request.urlopen(f"{self.issuer}/control/{what}", timeout=10):  # noqa: S310 - a server of this test
            pass

    @property
    def done(self) -> list[str]:
        """What the authorization server has done, oldest first."""
        return self.log.read_text(encoding="utf-8").split() if self.log.exists() else []

    @property
    def kept(self) -> dict[str, Any]:
        """What is kept of the login."""
        return json.loads((self.store / "remote.json").read_bytes())

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the security events of these kinds, oldest first."""
        return [entry["event"] for entry in self.stage.entries() if entry["event"].get("kind") in kinds]

    def secrets(self) -> list[str]:
        """Return what must not be said anywhere: the tokens that are kept, and the secret of states."""
        tokens: dict[str, str] = self.kept["tokens"] or {}
        return [SECRET, *(tokens[name] for name in ("access_token", "refresh_token") if name in tokens)]


@dataclass(frozen=True)
class Servers:
    """An authorization server and what it writes, and the protected server."""

    issuer: str
    url: str
    log: Path

    def world(self, directory: Path) -> World:
        """Return a stage of its own in front of both, which have no memory of what was before."""
        policy = policy_for(self.url, f"auth: {{oauth: {{callback_port: {free_port()}}}}}")
        extra = {"OAUTH_STATE_SECRET": SECRET, "DCR_STORAGE_PATH": str(directory / "store")}
        world = World(Stage(directory, policy, extra), self.issuer, self.url, self.log)
        world.order("forget-everything")
        self.log.write_text("", encoding="utf-8")
        return world


@contextmanager
def servers(directory: Path) -> Generator[Servers]:
    """Run both servers."""
    log = directory / "authority.log"
    authority = program(_HERE / "authorization.py")
    with (
        listening(*authority, "server", "--log", str(log)) as issuer,
        listening(*authority, "resource", "--issuer", issuer) as address,
    ):
        yield Servers(issuer, f"{address}/mcp", log)


def command(stage: Stage, *arguments: str, extra: Mapping[str, str] | None = None) -> Done:
    """Run a command of `aegis-mcp` with the policy and the log of a stage."""
    return run(stage.directory / "home", *arguments, extra=_settings(stage, extra))


def log_in(stage: Stage, *changes: str) -> Done:
    """Log in with a browser that changes what it brings back in this way."""
    browser = f"{' '.join(_BROWSER)} {_page(stage)} {' '.join(changes)} %s"
    return command(stage, "login", "remote", extra={"BROWSER": browser})


def _settings(stage: Stage, extra: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment that says which policy and log a command uses, and what else it is to see."""
    policy = stage.directory / "policy.yaml"
    policy.write_text(stage.policy, encoding="utf-8")
    options = {"AEGIS_POLICY": str(policy), "AEGIS_AUDIT_LOG": str(stage.log)}
    return {**stage.extra_environment, **options, **(extra or {})}


def _page(stage: Stage) -> Path:
    return stage.directory / "page.txt"


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
