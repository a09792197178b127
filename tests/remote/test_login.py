"""A person logs in with the real command and a real browser; gateways then hold and renew the login by themselves."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx2
import pytest

from aegis_mcp.upstream.account import error_of
from aegis_mcp.upstream.state import secret_from
from support.commands import Done, run
from support.gateway import Stage
from support.host import INITIALIZE, RawHost
from support.login import SECRET, Servers, World, log_in, servers
from support.processes import wait_until
from support.remote import host_of, policy_for, remote_server, text_of

LOGIN: Final = ["register", "authorize", "exchange"]


@pytest.fixture(name="both", scope="module")
def _both(tmp_path_factory: pytest.TempPathFactory) -> Generator[Servers]:
    with servers(tmp_path_factory.mktemp("servers")) as both:
        yield both


@pytest.fixture(name="place")
def _place(both: Servers, tmp_path: Path) -> World:
    return both.world(tmp_path)


def _greeting(host: RawHost) -> str:
    host.initialize()
    return text_of(host.call("greet", {"name": "Ada"}))


def _expire(place: World) -> None:
    """Let the access token be over, on both sides; what is kept says so too."""
    place.order("expire")
    kept = (place.store / "remote.json").read_text()
    expires = place.kept["expires_at"]
    (place.store / "remote.json").write_text(kept.replace(str(expires), str(time.time() - 60)))


def _nothing_is_said_of(place: World, secrets: list[str], *others: str | bytes) -> None:
    said = b"".join(other if isinstance(other, bytes) else other.encode() for other in others)
    said += place.stage.log.read_bytes()
    assert [secret for secret in secrets if secret.encode() in said] == []


def test_somebody_logs_in_and_calls_go_through(place: World) -> None:
    done = place.login()
    assert done.status == 0
    assert done.stdout.startswith("logged in at 'remote' by http://127.0.0.1:")
    assert place.done == LOGIN
    with place.host() as host:
        assert _greeting(host) == "Hello, Ada!"
    (registered,) = place.events("credentials_registered")
    assert registered["how"] == "registration"
    assert len(place.events("logged_in")) == 1
    assert place.page.read_text().startswith("200\n")
    _nothing_is_said_of(place, place.secrets(), done.stdout, done.stderr, host.stderr, *host.lines)
    assert place.stage.verify().returncode == 0


def test_without_a_browser_the_address_is_printed_and_may_be_opened_anywhere(place: World) -> None:
    opened = place.stage.directory / "opened"
    done = place.login_by_hand({"BROWSER": f"touch {opened} %s"})
    assert done.status == 0
    assert done.stdout.startswith("logged in at 'remote' by http://127.0.0.1:")
    assert place.done == LOGIN
    assert not opened.exists()
    with place.host() as host:
        assert _greeting(host) == "Hello, Ada!"
    _nothing_is_said_of(place, place.secrets(), done.stdout, done.stderr)


def test_a_browser_that_opens_a_connection_in_advance_does_not_hold_up_the_login(place: World) -> None:
    port = int(place.stage.policy.partition("callback_port: ")[2].partition("}")[0])
    with socket.socket() as idle:
        done = place.login_by_hand({}, lambda: idle.connect(("127.0.0.1", port)))
        assert (done.status, len(done.stderr.strip().splitlines())) == (0, 3)
        assert idle.recv(1) == b""
    assert done.stderr.startswith("aegis-mcp: to log in, open this address in a browser:\n\n    http://127.0.0.1:")


def test_without_a_login_a_call_says_what_to_do(place: World) -> None:
    with place.host() as host:
        why = f"wants somebody to log in; run: aegis-mcp login remote --policy {place.stage.directory}/policy.yaml"
        assert text_of(host.initialize()) == f"No answer: the upstream 'remote' {why}"
    assert place.done == []


def test_where_a_server_stands_in_no_policy_the_command_says_that_its_address_is_needed(place: World) -> None:
    command = place.stage.command_at("other", "--url", place.url, "--oauth")
    with RawHost(command, place.stage.environment) as host:
        said = text_of(host.initialize())
    assert said.endswith(f"run: aegis-mcp login other --policy {place.stage.directory}/policy.yaml --url URL")


def test_a_server_that_asks_for_no_login_is_said_to_need_none(tmp_path: Path) -> None:
    with remote_server(tmp_path, "--stateless") as url:
        extra = {"OAUTH_STATE_SECRET": SECRET, "DCR_STORAGE_PATH": str(tmp_path / "store")}
        done = log_in(Stage(tmp_path, policy_for(url, "auth: oauth"), extra))
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == "'remote' asks for no login; it is served without `auth: oauth` and `--oauth`\n"


def test_a_running_gateway_takes_up_a_login_that_comes_later(place: World) -> None:
    with place.host() as host:
        host.initialize()
        place.login()
        assert _greeting(host) == "Hello, Ada!"


def test_an_expired_token_is_renewed_without_a_browser_after_a_restart(place: World) -> None:
    place.login()
    before = place.secrets()
    _expire(place)
    with place.host() as host:
        assert _greeting(host) == "Hello, Ada!"
    assert place.done == [*LOGIN, "refresh"]
    assert place.secrets() != before
    _nothing_is_said_of(place, [*before, *place.secrets()], host.stderr, *host.lines)


def test_a_token_that_the_server_does_not_take_any_more_is_renewed_in_the_middle(place: World) -> None:
    place.login()
    with place.host() as host:
        assert _greeting(host) == "Hello, Ada!"
        place.order("expire")
        assert text_of(host.call("greet", {"name": "Bob"})) == "Hello, Bob!"
    assert place.done == [*LOGIN, "refresh"]


def test_a_server_that_takes_no_token_at_all_is_said_to_and_costs_one_renewal(place: World) -> None:
    place.login()
    place.order("distrust")
    with place.host() as host:
        why = text_of(host.request("initialize", INITIALIZE))
    new = "does not accept the token of the login, which is new (401)"
    assert why.startswith(f"No answer: the upstream 'remote' {new}; run: aegis-mcp login remote")
    assert place.done == [*LOGIN, "refresh"]
    assert place.stage.verify().returncode == 0


def test_gateways_that_renew_at_once_use_a_refresh_token_only_once(place: World) -> None:
    place.login()
    hosts = [place.host() for _ in range(3)]
    try:
        assert {_greeting(host) for host in hosts} == {"Hello, Ada!"}
        _expire(place)
        for host in hosts:
            for number in range(3):
                host.send_call(number, "greet", {"name": "Bob"})
        answers = [text_of(host.receive_message()) for host in hosts for _ in range(3)]
    finally:
        for host in hosts:
            host.close()
    assert set(answers) == {"Hello, Bob!"}
    assert place.done == [*LOGIN, "refresh"]


def test_a_renewal_that_is_under_way_at_the_end_is_not_lost(place: World) -> None:
    place.login()
    _expire(place)
    place.order("slow-down")
    with place.host() as host:
        host.send({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        wait_until(lambda: place.done == [*LOGIN, "refresh"])
    assert host.stderr == b""
    with place.host() as host:
        assert _greeting(host) == "Hello, Ada!"
    assert place.done == [*LOGIN, "refresh"]


def test_an_authorization_server_that_is_down_costs_a_call_and_not_the_login(tmp_path: Path) -> None:
    with servers(tmp_path) as both:
        place = both.world(tmp_path)
        place.login()
        before = place.secrets()
        _expire(place)
    with place.host() as host:
        for number in range(20):
            host.send({"jsonrpc": "2.0", "id": number, "method": "ping"})
        said = {text_of(host.receive_message()) for _ in range(20)}
    down = "could not be reached: nothing takes connections there"
    assert said == {f"No answer: the upstream 'remote' cannot be asked: its authorization server {down}"}
    assert place.secrets() == before
    failed = place.events("refresh_failed")
    assert {(event["issuer"], event["reason"]) for event in failed} == {(f"{place.issuer}/", down)}
    assert 1 <= len(failed) < 20  # who waited meanwhile is told the same
    _nothing_is_said_of(place, before, host.stderr, *host.lines)
    assert place.stage.verify().returncode == 0


def test_a_login_that_the_server_has_ended_is_asked_for_again(place: World) -> None:
    place.login()
    place.order("end")
    with place.host() as host:
        assert "has ended this login; run: aegis-mcp login remote" in text_of(host.initialize())
        (failed,) = place.events("refresh_failed")
        assert failed["reason"] == "invalid_grant"
        place.login()
        assert _greeting(host) == "Hello, Ada!"
    assert place.done == [*LOGIN, "authorize", "authorize", "exchange"]  # it looks first whether it is still known


def test_a_registration_that_the_server_has_forgotten_is_made_anew(place: World) -> None:
    place.login()
    first = place.kept["client"]["client_id"]
    place.order("forget-clients")
    place.order("expire")
    with place.host() as host:
        assert "does not know this client any more; run: aegis-mcp login remote" in text_of(host.initialize())
        assert place.login().status == 0
        assert _greeting(host) == "Hello, Ada!"
    assert place.done == LOGIN * 2
    assert place.kept["client"]["client_id"] != first
    assert len(place.events("credentials_registered")) == 2


def test_a_registration_that_is_forgotten_before_the_browser_opens_is_made_anew(place: World) -> None:
    place.login()
    place.order("end")
    with place.host() as host:
        host.initialize()  # the tokens are given up, the registration is not
    place.order("forget-clients")
    assert place.login().status == 0
    assert place.done == LOGIN * 2


def _sealed(upstream: str, seconds: int) -> str:
    return secret_from({"OAUTH_STATE_SECRET": SECRET}).seal("nonce", upstream, int(time.time()) + seconds)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("x", "it is not one that Aegis has made"),
        (_sealed("remote", -1), "it has expired"),
        (_sealed("mail", 3600), "it belongs to the login at another upstream"),
        (_sealed("remote", 3600), "it belongs to another login"),
    ],
    ids=["wrong", "expired", "another upstream", "another login"],
)
def test_a_state_that_this_login_has_not_sent_out_is_refused_and_recorded(place: World, state: str, why: str) -> None:
    done = place.login(f"state={state}")
    assert done.status == 1
    assert f"the state that the browser has brought back is refused: {why}" in done.stderr
    assert place.done == ["register", "authorize"]
    assert [event["reason"] for event in place.events("state_refused")] == [why]


def test_somebody_who_refuses_at_the_authorization_server_is_believed(place: World) -> None:
    done = place.login("error=access_denied")
    assert (done.status, "the authorization server refused: access_denied" in done.stderr) == (1, True)


def test_an_answer_by_another_issuer_is_refused(place: World) -> None:
    done = place.login("iss=evil.example")
    assert (done.status, "the login did not get through" in done.stderr) == (1, True)
    assert place.done == ["register", "authorize"]


def test_a_code_that_is_none_gives_no_token(place: World) -> None:
    done = place.login("code=made-up")
    assert (done.status, "gave no token (invalid_grant)" in done.stderr) == (1, True)
    assert "made-up" not in done.stderr


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"[" * 100_000, b'{"error":{"a":1}}', b'{"error":"a\\nb"}'])
def test_an_error_without_a_name_is_told_by_its_status(body: bytes) -> None:
    assert error_of(httpx2.Response(400, content=body)) == "HTTP status 400"


def test_logging_out_ends_the_login_on_both_sides(place: World) -> None:
    place.login()
    done = place.command("logout", "remote")
    assert (done.status, done.stdout) == (0, "logged out of 'remote'\n")
    assert place.done[len(LOGIN) :] == ["revoke", "revoke"]
    assert not (place.store / "remote.json").exists()
    assert len(place.events("logged_out")) == 1
    assert place.command("logout", "remote").stdout == "there was no login at 'remote'\n"


def test_a_login_that_is_under_way_while_somebody_logs_out_is_kept_with_its_registration(place: World) -> None:
    assert place.login_by_hand({}, lambda: place.command("logout", "remote")).status == 0
    _expire(place)
    with place.host() as host:
        assert _greeting(host) == "Hello, Ada!"
    assert place.done == [*LOGIN, "refresh"]


def test_whoever_is_logged_in_is_not_sent_to_the_browser_again(place: World) -> None:
    place.login()
    assert place.login().status == 0
    assert place.done == LOGIN


def test_the_store_is_refused_at_the_start_if_others_can_read_it(place: World) -> None:
    place.login()
    (place.store / "remote.json").chmod(0o644)
    with place.host() as host:
        assert host.process.wait(20) == 2
    assert b"is open to others (mode 0644)" in host.stderr
    assert place.login().status == 2


def test_a_token_is_not_sent_to_another_address_of_the_same_name(place: World) -> None:
    place.login()
    with _elsewhere(place) as host:
        assert "wants somebody to log in" in text_of(host.initialize())


def _elsewhere(place: World) -> RawHost:
    """Start a gateway whose policy gives the upstream another path."""
    stage = replace(place.stage, policy=place.stage.policy.replace("/mcp", "/other"))
    return host_of(stage)


def _secret(place: World, secret: str | None, *arguments: str) -> Done:
    return place.command(*arguments, extra={"OAUTH_STATE_SECRET": secret} if secret is not None else {})


@pytest.mark.parametrize("command", [(), ("login", "remote"), ("policy", "check")], ids=" ".join)
def test_a_secret_of_31_characters_stops_the_start(place: World, command: tuple[str, ...]) -> None:
    done = _secret(place, "§" * 31, *command)
    assert done.status == 2
    assert (
        "OAUTH_STATE_SECRET has 31 characters, and an upstream with OAuth needs at least 32 characters; make one"
        in done.stderr
    )
    assert "token_urlsafe" in done.stderr
    assert "§" not in done.stderr


def test_a_secret_of_32_characters_is_accepted(place: World) -> None:
    assert _secret(place, "§" * 32, "policy", "check").status == 0
    assert _secret(place, "§" * 32).status == 0


def test_without_an_oauth_upstream_no_secret_is_asked_for(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nupstreams: {a: {url: 'https://host.example/'}}\n", encoding="utf-8")
    extra = {"AEGIS_POLICY": str(policy), "AEGIS_AUDIT_LOG": str(tmp_path / "logs" / "audit.log")}
    assert run(tmp_path, "policy", "check", extra=extra).status == 0
    assert run(tmp_path, extra=extra).status == 0


def test_a_policy_is_suggested_for_a_server_behind_a_login(place: World) -> None:
    command = ("policy", "suggest", "--name", "remote", "--url", place.url)
    asked = place.command(*command)
    assert (asked.status, "wants somebody to log in; run: aegis-mcp login remote" in asked.stderr) == (1, True)
    place.login()
    asked = place.command(*command, "--oauth", "--format", "json")
    assert [tool["name"] for tool in asked.json["servers"][0]["tools"]] == ["greet"]
    assert f'  remote:\n    url: "{place.url}"\n    auth: oauth\n    access:\n' in asked.json["policy"]
    assert place.done == LOGIN


def test_a_port_that_is_taken_is_named(place: World) -> None:
    port = int(place.stage.policy.partition("callback_port: ")[2].partition("}")[0])
    with socket.create_server(("127.0.0.1", port)):
        done = place.login()
    assert (done.status, f"the port {port} of this machine cannot be used" in done.stderr) == (2, True)


def test_everything_is_kept_for_its_owner_alone_whatever_the_umask_says(place: World) -> None:
    before = os.umask(0)
    try:
        place.login()
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in [place.store, *place.store.iterdir()]}
    assert modes == {"store": "0o700", "remote.json": "0o600", "remote.lock": "0o600"}
