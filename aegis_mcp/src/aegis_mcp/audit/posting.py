"""One request over HTTP, of bounded size and time: for what takes checkpoints outside the host.

Neither follows to where it is sent on, nor minds how it is answered: what an answer is worth, its content shows.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aegis_audit.value import Value
from aegis_mcp.errors import AnchorUnavailable, ConfigError

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector

TIMEOUT: Final = 10.0
"""Seconds that an answer may take, the connection included."""

MAX_ANSWER: Final = 262_144
"""Bytes of the longest answer."""


class Answer(Value):
    """What was answered; `kind` is its content type, without parameters."""

    status: int
    kind: str
    body: bytes


def check_url(url: str) -> None:
    """Refuse what is no address that can be posted to.

    Raises:
        ConfigError: it is none.
    """
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"{url[:200]!r} must be a URL of the form https://host.example/path")


def post(url: str, body: bytes, kind: str) -> Answer:
    """Return the answer to a body of this content type.

    Raises:
        AnchorUnavailable: there is none in time, or it is too long.
    """
    from http.client import HTTPException  # noqa: PLC0415 - only who posts pays for it
    from urllib.request import Request  # noqa: PLC0415

    deadline = time.monotonic() + TIMEOUT
    try:
        with _opener().open(Request(url, body, {"Content-Type": kind}), timeout=TIMEOUT) as response:  # noqa: S310
            return Answer(response.status, response.headers.get_content_type(), _read(response, deadline))
    except (OSError, HTTPException) as exc:
        reason = getattr(exc, "reason", exc)
        raise AnchorUnavailable(f"no answer ({getattr(reason, 'strerror', None) or type(reason).__name__})") from exc


def _read(response: HTTPResponse, deadline: float) -> bytes:
    body = b""
    while piece := response.read1(MAX_ANSWER + 1 - len(body)):
        body += piece
        if len(body) > MAX_ANSWER:
            raise AnchorUnavailable(f"an answer of more than {MAX_ANSWER} bytes")
        if time.monotonic() > deadline:
            raise AnchorUnavailable(f"no whole answer within {TIMEOUT:g} s")
    return body


def _opener() -> OpenerDirector:
    """Return what opens a URL through the proxies of the environment, and gives back whatever is answered."""
    from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler  # noqa: PLC0415

    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
        opener.add_handler(handler)
    return opener
