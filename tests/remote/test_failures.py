"""What can go wrong with a remote server: a clear sentence for the host, an entry in the log, nothing that hangs."""

from __future__ import annotations

import ipaddress
import json
import signal
import socket
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.gateway import Stage
from support.processes import wait_until
from support.remote import host_of, policy_for, remote_server, requests_received, text_of
from support.scripted import modern

LIMIT_SECONDS: Final = 3.0
"""1.2 seconds are promised; a machine under load gets more."""

ENDING_SECONDS: Final = 2.0

PRIVATE: Final = "http://169.254.169.254/latest"

UNRELATED: Final[dict[str, dict[str, Any]]] = {
    "events without a message": {"events": "event: ping\ndata: {}\n\nid: 1\n\n"},
    "comments": {"events": ": still here\n\n"},
    "what is no JSON": {"events": "data: x\n\n"},
    "JSON that is no message": {"events": "data: {}\n\ndata: []\n\ndata: 7\n\n"},
    "what is no message, and has a method": {"events": 'data: {"jsonrpc":"2.0","method":"tools/call"}\n\n'},
    "answers that nobody waits for": {"events": 'data: {"jsonrpc":"2.0","id":"nobody","result":{}}\n\n'},
    "errors that answer nothing": {"events": 'data: {"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}\n\n'},
    "junk and comments in turn": {"events": "data: x\n\n: still here\n\n"},
    "junk that can be gone on with": {"events": "id: 1\nretry: 10\ndata: x\n\n"},
    "junk without a pause": {"events": "data: x\n\n", "pause": 0},
}
"""What a server can send for ever beside an answer, and is no work on it."""

WORK: Final = {
    "progress": '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}',
    "a message": '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"at work"}}',
    "a request": '{"jsonrpc":"2.0","id":"asked","method":"ping"}',
}

FAILURES: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "401": ("status", {"status": 401}, "wants to know who asks (401)"),
    "403": ("status", {"status": 403}, "forbids this (403)"),
    "404 again": ("status", {"status": 404}, "does not know the session that it has just begun"),
    "418": ("status", {"status": 418}, "answered with HTTP status 418"),
    "429": ("status", {"status": 429}, "was asked too often (429)"),
    "429 and a time": ("status", {"status": 429, "headers": {"retry-after": "17"}}, "(429); try again in 17 s"),
    "429 and junk": ("status", {"status": 429, "headers": {"retry-after": "soon"}}, "was asked too often (429)"),
    "429 and a date": (
        "status",
        {"status": 429, "headers": {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}},
        "(429); try again at 2026-10-21 07:28:00 UTC",
    ),
    "500": ("status", {"status": 500}, "failed (500)"),
    "503": ("status", {"status": 503}, "failed (503)"),
    "to a private address": ("redirect", {"to": PRIVATE}, "redirects to http://169.254.169.254, which is not followed"),
    "to another origin": ("redirect", {"to": "https://evil.example/?a=b"}, "redirects to https://evil.example, which"),
    "to itself": ("redirect", {"to": "/mcp"}, "redirects from one of its addresses to another without end"),
    "silent": ("silent", {}, "has not answered within 1 s"),
    "slow": ("dribble", {}, "has not answered within 1 s"),
    "endless": ("endless", {}, "sent an answer of more than 16777216 bytes"),
    "an endless event": ("endless_event", {}, "sent an event of more than 16777216 bytes"),
    "100 MB": ("huge", {}, "sent an answer of more than 16777216 bytes"),
    "packed": ("packed", {}, "packed an answer"),
    "html": ("html", {}, "answered with something that is no message"),
    "accepted": ("accepted", {}, "answered with something that is no message"),
    "not JSON-RPC": ("junk", {}, "no answer to this request"),
    "another id": ("other", {}, "no answer to this request"),
    "an interrupted stream": ("cut", {}, "ended the stream before the answer"),
    "polled in vain": ("polled", {}, "has not answered within 1 s"),
    "polled with junk": ("polled", {"message": {"no": "message"}}, "has not answered within 1 s"),
    **{f"{kind}, without end": ("repeated", each, "has not answered within 1 s") for kind, each in UNRELATED.items()},
    "a pause beyond all numbers": (
        "told",
        {"events": f"id: 1\nretry: {'9' * 400}\ndata:\n\n"},
        "has not answered within 1 s",
    ),
    "an id that no header can hold": ("told", {"events": "id: é\ndata:\n\n"}, "ended the stream before the answer"),
    "hung up": ("hang_up", {}, "failed (500)"),
}


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with remote_server(tmp_path_factory.mktemp("remote")) as url:
        yield url


@pytest.mark.parametrize(("tool", "arguments", "expected"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_said_in_one_sentence_and_the_next_call_goes_on(
    tmp_path: Path, remote: str, tool: str, arguments: dict[str, Any], expected: str
) -> None:
    stage = Stage(tmp_path, policy_for(remote, timeout=1 if "within" in expected else 30))
    with host_of(stage) as host:
        host.initialize()
        answer = host.call(tool, arguments)
        assert answer["result"]["isError"] is True
        assert text_of(answer).startswith("No answer: the upstream 'remote' ")
        assert expected in text_of(answer)
        assert "secret-of-the-server" not in text_of(answer)
        assert text_of(host.call("echo", {"n": 1})) == '{"n": 1}'
    failed = [entry["event"] for entry in stage.entries() if entry["event"].get("kind") == "request_failed"]
    assert [expected in event["reason"] for event in failed] == [True]
    statuses = [entry["event"].get("status", "intent") for entry in stage.requests()]
    assert statuses == ["intent", "upstream_lost", "intent", "ok"]
    assert stage.verify().returncode == 0


def test_a_byte_order_mark_before_the_first_event_is_no_part_of_it(tmp_path: Path, remote: str) -> None:
    answer = '{"jsonrpc":"2.0","id":"host-2","result":{"content":[{"type":"text","text":"after the mark"}]}}'
    with host_of(Stage(tmp_path, policy_for(remote))) as host:
        host.initialize()
        assert text_of(host.call("told", {"events": f"\ufeffdata: {answer}\n\n"})) == "after the mark"


@pytest.mark.parametrize("message", WORK.values(), ids=WORK)
def test_a_server_that_says_that_it_is_at_work_has_the_time_that_it_takes(
    tmp_path: Path, remote: str, message: str
) -> None:
    stage = Stage(tmp_path, policy_for(remote, timeout=1))
    with host_of(stage) as host:
        host.initialize()
        assert text_of(host.call("repeated", {"events": f"data: {message}\n\n", "seconds": 2.5})) == "done"
    assert [entry["event"].get("status") for entry in stage.requests()][-1] == "ok"
    assert [entry for entry in stage.entries() if entry["event"].get("kind") == "request_failed"] == []
    assert stage.verify().returncode == 0


@pytest.mark.parametrize(("name", "expected"), [("progress", "done"), ("a request", "has not answered within 1 s")])
def test_what_a_server_asks_in_an_era_where_it_asks_nothing_is_no_work(
    tmp_path: Path, remote: str, name: str, expected: str
) -> None:
    arguments = {"events": f"data: {WORK[name]}\n\n", "seconds": 2.5}
    with host_of(Stage(tmp_path, policy_for(remote, timeout=1))) as host:
        answer = modern(host, "tools/call", {"name": "repeated", "arguments": arguments})
    assert text_of(answer).endswith(expected)


def test_a_request_that_the_host_has_taken_back_is_given_up_whatever_the_server_says_of_its_work(
    tmp_path: Path, remote: str
) -> None:
    stage = Stage(tmp_path, policy_for(remote, timeout=1))

    def failed() -> list[dict[str, Any]]:
        events = [entry["event"] for entry in stage.entries()]
        return [event for event in events if event.get("kind") == "request_failed"]

    with host_of(stage) as host:
        host.initialize()
        events = f"data: {WORK['progress']}\n\n"
        host.send_call(1, "repeated", {"events": events})
        assert host.receive_message()["method"] == "notifications/progress"
        host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        wait_until(lambda: len(failed()) > 0)
        assert text_of(host.call("echo", {"n": 1})) == '{"n": 1}'
    assert [(event["request_id"], event["reason"]) for event in failed()] == [(1, "has not answered within 1 s")]
    statuses = [entry["event"].get("status", "intent") for entry in stage.requests()]
    assert statuses == ["intent", "cancelled", "intent", "ok"]
    assert stage.verify().returncode == 0


def test_an_answer_to_another_call_is_passed_on_and_is_no_work_on_the_call_whose_stream_it_comes_on(
    tmp_path: Path, remote: str
) -> None:
    stage = Stage(tmp_path, policy_for(remote, timeout=1))
    answer = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"by another way"}]}}'
    calls: dict[int, tuple[str, dict[str, Any]]] = {
        1: ("silent", {}),
        2: ("repeated", {"events": f"data: {answer}\n\n"}),
    }
    with host_of(stage) as host:
        host.initialize()
        for number, (tool, arguments) in calls.items():
            host.send_call(number, tool, arguments)
        answers = [host.receive_message() for _ in calls]
        assert text_of(host.call("echo", {})) == "{}"
    assert [(answer["id"], text_of(answer)) for answer in answers] == [
        (1, "by another way"),
        (2, "No answer: the upstream 'remote' has not answered within 1 s"),
    ]
    statuses = [entry["event"].get("status", "intent") for entry in stage.requests()]
    assert statuses == ["intent", "intent", "ok", "upstream_lost", "intent", "ok"]
    assert stage.verify().returncode == 0


def test_what_no_header_can_hold_is_not_sent_back_and_ends_nothing(tmp_path: Path, remote: str) -> None:
    stage = Stage(tmp_path, policy_for(remote))
    with host_of(stage) as host:
        host.initialize()
        host.call("status", {"status": 500, "headers": {"set-cookie": "a=é"}})
        said = {text_of(host.call("echo", {})) for _ in range(2)}
    held = "to be sent back to it that no header can hold (a session, a cookie or a token)"
    assert said == {f"No answer: the upstream 'remote' has given something {held}"}
    assert stage.verify().returncode == 0


def test_an_error_of_the_server_that_does_not_know_the_id_reaches_the_one_who_asked(
    tmp_path: Path, remote: str
) -> None:
    with host_of(Stage(tmp_path, policy_for(remote))) as host:
        host.initialize()
        assert host.call("refuse", {})["error"] == {"code": -32602, "message": "no such thing"}


def _explained(stage: Stage) -> str:
    """Return why `initialize` has failed, and see that the log says the same."""
    with host_of(stage) as host:
        why = text_of(host.initialize())
    # What the host sends next, and waits for no answer to, has failed as well.
    failed = next(entry["event"] for entry in stage.entries() if entry["event"].get("kind") == "request_failed")
    assert why == f"No answer: the upstream 'remote' {failed['reason']}"
    return why


def test_a_server_that_is_down_is_explained_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    why = _explained(Stage(tmp_path, policy_for(f"http://127.0.0.1:{port}/mcp")))
    assert why == "No answer: the upstream 'remote' could not be reached: nothing takes connections there"


@contextmanager
def _full() -> Generator[int]:
    """Yield a port at which connections are never completed: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        yield address[1]
        for each in waiting:
            each.close()


@contextmanager
def _mute() -> Generator[int]:
    """Yield a port at which connections are completed, and nothing more happens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


# A host that starts waits for this, and the start of the gateway, together no more than two seconds.
@pytest.mark.parametrize(("scheme", "open_port"), [("http", _full), ("https", _mute)])
def test_a_server_that_cannot_be_reached_is_given_up_after_the_time_of_a_first_contact(
    tmp_path: Path, scheme: str, open_port: Callable[[], AbstractContextManager[int]]
) -> None:
    with open_port() as port:
        stage = Stage(tmp_path, policy_for(f"{scheme}://127.0.0.1:{port}/mcp"))
        with host_of(stage) as host:
            wait_until(lambda: stage.log.exists() and b"upstream_started" in stage.log.read_bytes())
            start = time.monotonic()
            why = text_of(host.initialize())
            assert time.monotonic() - start < LIMIT_SECONDS
    assert why == "No answer: the upstream 'remote' could not be reached within 1.2 s"


def test_a_server_that_takes_a_connection_and_is_mute_is_explained_and_then_given_up(tmp_path: Path) -> None:
    with _mute() as port:
        stage = Stage(tmp_path, policy_for(f"http://127.0.0.1:{port}/mcp", timeout=2))
        with host_of(stage) as host:
            why = text_of(host.initialize())
            said = [json.loads(line) for line in host.lines[:-1]]
    waits = "The upstream 'remote' has not answered within 1.2 s; it is given up after 2 s"
    assert [one["params"] for one in said] == [{"level": "warning", "logger": "aegis-mcp", "data": waits}]
    assert why == "No answer: the upstream 'remote' has not answered within 2 s"


def test_a_name_that_does_not_exist_is_explained(tmp_path: Path) -> None:
    why = _explained(Stage(tmp_path, policy_for("https://nowhere.invalid/mcp")))
    assert "'remote' could not be reached within 1.2 s" in why or "the name 'nowhere.invalid' cannot be" in why


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "10.1.2.3", "100.64.0.1", "0.0.0.1"),
        *("[fd00::1]", "[fec0::1]", "[::ffff:10.0.0.1]", "[::ffff:0:10.0.0.1]", "[::10.0.0.1]"),
        *("[64:ff9b::10.0.0.1]", "[64:ff9b:1::10.0.0.1]", "[2002:a00:1::1]"),
    ],
)
def test_a_private_address_is_not_asked_unless_the_policy_says_so(tmp_path: Path, host: str) -> None:
    why = _explained(Stage(tmp_path, policy_for(f"https://{host}/mcp")))
    assert "is not an address of the internet, and the policy does not say `allow_private: true`" in why


def test_a_private_address_is_asked_where_the_policy_says_so(tmp_path: Path) -> None:
    why = _explained(Stage(tmp_path, policy_for("https://127.0.0.2:9/mcp", "allow_private: true")))
    assert "nothing takes connections there" in why


# Answers each question for an address with the next line of a file, and keeps the rest there.
RESOLVER: Final = """
import pathlib, socket
answers = pathlib.Path({answers!r})
def getaddrinfo(host, *rest, **more):
    first, *others = answers.read_text().split()
    answers.write_text(" ".join(others))
    return known(first, *rest, **more)
known, socket.getaddrinfo = socket.getaddrinfo, getaddrinfo
"""


def _renamed(directory: Path, url: str, *addresses: str) -> Stage:
    """Return a stage for the same server by a name that stands for another address at each question."""
    (directory / "answers").write_text(" ".join(addresses), encoding="utf-8")
    (directory / "sitecustomize.py").write_text(RESOLVER.format(answers=str(directory / "answers")), encoding="utf-8")
    return Stage(directory, policy_for(url.replace("127.0.0.1", "localhost")), {"PYTHONPATH": str(directory)})


def test_a_name_is_asked_once_and_the_address_that_was_judged_is_the_one_that_is_connected_to(
    tmp_path: Path, remote: str
) -> None:
    stage = _renamed(tmp_path, remote, "127.0.0.1", "10.1.2.3")
    with host_of(stage) as host:
        assert "result" in host.initialize()
        for number in range(3):
            assert text_of(host.call("echo", {"n": number})) == f'{{"n": {number}}}'
    assert (tmp_path / "answers").read_text(encoding="utf-8") == "10.1.2.3"


def test_a_name_that_stands_for_an_address_inside_is_not_asked(tmp_path: Path, remote: str) -> None:
    why = _explained(_renamed(tmp_path, remote, "10.1.2.3", "127.0.0.1"))
    assert "'localhost' is not asked: 10.1.2.3 is not an address of the internet" in why


def _certificate(directory: Path, name: str, days: int) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.now(UTC) - timedelta(days=10)
    alternative = x509.IPAddress(ipaddress.ip_address(name))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    (directory / "key.pem").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    return str(directory / "certificate.pem"), str(directory / "key.pem")


@pytest.mark.parametrize(
    ("name", "days", "is_trusted", "expected"),
    [
        ("127.0.0.1", 20, False, "could not be reached over TLS: self-signed certificate"),
        ("127.0.0.1", 5, True, "could not be reached over TLS: certificate has expired"),
        ("127.0.0.9", 20, True, "could not be reached over TLS: IP address mismatch"),
        ("127.0.0.1", 20, True, None),
    ],
    ids=["unknown", "expired", "another name", "trusted"],
)
def test_tls_is_verified(tmp_path: Path, name: str, days: int, is_trusted: bool, expected: str | None) -> None:
    certificate, key = _certificate(tmp_path, name, days)
    with remote_server(tmp_path, "--certificate", certificate, "--key", key) as url:
        extra = {"SSL_CERT_FILE": certificate} if is_trusted else {}
        with host_of(Stage(tmp_path, policy_for(url), extra)) as host:
            answer = host.initialize()
    assert ("result" in answer) is (expected is None)
    assert expected is None or expected in text_of(answer)


def test_clear_text_over_tls_is_explained(tmp_path: Path, remote: str) -> None:
    why = _explained(Stage(tmp_path, policy_for(remote.replace("http://", "https://"))))
    assert "could not be reached over TLS" in why


ENDINGS: Final = [None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.mark.parametrize("number", ENDINGS)
def test_a_server_that_ends_nothing_does_not_hold_up_the_end(tmp_path: Path, number: signal.Signals | None) -> None:
    with remote_server(tmp_path, "--stubborn") as url:
        stage = Stage(tmp_path, policy_for(url))
        with host_of(stage) as host:
            host.initialize()
            for request in range(3):
                host.send_call(request, "silent")
            wait_until(lambda: len(requests_received(stage)) == 6)  # three calls, the handshake and its stream
            assert host.end(number) < ENDING_SECONDS
        answers = {message["id"]: text_of(message) for message in map(json.loads, host.lines[1:])}
    assert answers == dict.fromkeys(range(3), "No answer: the upstream 'remote' was stopped with the gateway")
    assert [entry["event"].get("status") for entry in stage.requests()] == [None] * 3 + ["cancelled"] * 3
    stopped = [entry["event"] for entry in stage.entries() if "kind" in entry["event"]][-1]
    assert stopped["kind"] == "gateway_stopped"
    assert stopped["reason"] == (number.name if number else "the host closed the input")
    assert stage.verify().returncode == 0
