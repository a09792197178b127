"""Where a remote server is and how the gateway shows who it is: understood, or refused at its place."""

from __future__ import annotations

import pytest

from aegis_mcp.errors import PolicyError
from aegis_mcp.policy import loader
from aegis_mcp.policy.model import Header, OAuth, Store, Upstream

START = "version: 1\nupstreams: {a: "

MISTAKES: dict[str, list[tuple[int, str]]] = {
    "{url: host.example/mcp}": [(22, "https://host.example/path")],
    "{url: 'ftp://host.example/'}": [(22, "https://host.example/path")],
    "{url: 'https://'}": [(22, "https://host.example/path")],
    "{url: 'https://host.example:port/'}": [(22, "https://host.example/path")],
    "{url: 'https://host.example/a b'}": [(22, "https://host.example/path")],
    "{url: 'https://host.example\\mcp'}": [(22, "https://host.example/path")],
    "{url: 'https://me:word@host.example/'}": [(22, "use `auth`")],
    "{url: 'https://host.example/#part'}": [(22, "a part of a page")],
    "{url: 'http://host.example/'}": [(22, "use https://")],
    "{url: 'http://[fd00::1]/', allow_private: true}": [(22, "use https://")],
    "{url: 'https://host.example/', command: [x]}": [(56, "not both")],
    "{url: 'https://host.example/', env: {A: b}}": [(52, "not both")],
    "{auth: basic}": [(23, "one of oauth, none")],
    "{auth: {}}": [(23, "one of oauth, none")],
    "{auth: {oauth: {}, header: {X-A: b}}}": [(23, "one of oauth, none")],
    "{auth: {header: {}}}": [(32, "at least one")],
    "{auth: {header: {'X A': b}}}": [(33, "no name of a header")],
    "{auth: {header: {Mcp-Method: b}}}": [(33, "belongs to the protocol")],
    "{auth: {header: {Host: b}}}": [(33, "belongs to the protocol")],
    "{auth: {header: {Authorization: Bearer x}}}": [(48, "does not belong into this file")],
    "{auth: {header: {X-Api-Key: '${KEY}'}}}": [(44, "${env:NAME}")],
    "{auth: {oauth: {callback_port: 80}}}": [(47, "from 1024")],
    "{auth: {oauth: {client_secret: '${env:A}'}}}": [(47, "`client_id`, which is missing")],
    "{auth: {oauth: {client_id: a, client_secret: b}}}": [(61, "does not belong into this file")],
    "{auth: {oauth: {store: vault}}}": [(39, "file, keyring")],
    "{auth: {oauth: {client_metadata_url: 'https://host.example/'}}}": [(53, "with a path")],
    "{auth: {oauth: {client_metadata_url: 'http://host.example/a'}}}": [(53, "https URL")],
    "{timeout: 0}": [(26, "seconds")],
    "{allow_private: 1}": [(32, "true or false")],
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_every_mistake_is_named_at_its_place(text: str, expected: list[tuple[int, str]]) -> None:
    with pytest.raises(PolicyError) as caught:
        loader.load(f"{START}{text}}}".encode(), "p.yaml")
    found = caught.value.mistakes
    assert [(mistake.line, mistake.column) for mistake in found] == [(2, column) for column, _ in expected], found
    assert all(part in mistake.message for mistake, (_, part) in zip(found, expected, strict=True))


def _load(text: str) -> Upstream:
    return loader.load(f"{START}{text}}}".encode(), "p.yaml").upstream("a")


@pytest.mark.parametrize(
    "url", ["https://host.example/mcp?a=b", "http://127.0.0.1:1/", "http://localhost/mcp", "http://[::1]:8000/mcp"]
)
def test_an_address_is_taken_as_it_is(url: str) -> None:
    assert _load(f"{{url: '{url}'}}") == Upstream("a", url=url)


def test_a_client_that_was_registered_by_hand_is_taken() -> None:
    text = "{auth: {oauth: {client_id: me, client_secret: '${env:S}', callback_port: 8123}}, timeout: 5}"
    assert _load(text) == Upstream("a", auth=OAuth(8123, "me", "${env:S}"), timeout=5.0)


def test_a_login_is_kept_where_the_policy_says() -> None:
    assert _load("{auth: {oauth: {store: keyring}}}").auth == OAuth(store=Store.KEYRING)
    assert _load("{auth: {oauth: {store: file}}}").auth == _load("{auth: oauth}").auth == OAuth()


def test_another_address_keeps_what_the_policy_says_of_the_login() -> None:
    url = "https://host.example/"
    assert _load("{auth: {oauth: {store: keyring}}}").at(url, logs_in=True).auth == OAuth(store=Store.KEYRING)
    assert _load("{auth: none}").at(url, logs_in=True) == Upstream("a", url=url, auth=OAuth())
    assert _load("{command: [x]}").at(url, logs_in=False) == Upstream("a", url=url)


def test_headers_are_taken_with_their_references() -> None:
    text = "{url: 'https://host.example/', auth: {header: {Authorization: 'Bearer ${keyring:a/b}', X-Org: acme}}}"
    expected = Header({"Authorization": "Bearer ${keyring:a/b}", "X-Org": "acme"})
    assert _load(text).auth == expected


def test_without_auth_nothing_is_shown_to_the_server() -> None:
    assert _load("{url: 'https://host.example/', auth: none}") == Upstream("a", url="https://host.example/")
