"""The time of a checkpoint, by an authority (RFC 3161): its token is kept beside the bytes that it speaks of.

    <stem>.tlog/stamped-<size>        the note as it was sent
    <stem>.tlog/stamped-<size>.tsr    the answer of the authority

Whether the authority can be believed is for the verifier to say, who has its certificate.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.note import Note
from aegis_mcp.audit.posting import check_url, post
from aegis_mcp.audit.sidecar import put
from aegis_mcp.errors import AnchorUnavailable, ConfigError

if TYPE_CHECKING:
    from rfc3161_client import TimeStampRequest

SPACING: Final = 60.0
"""Seconds between two requests: an authority serves others as well."""

_KEPT: Final = 2
_NAME: Final = re.compile("stamped-(0|[1-9][0-9]{0,18})")
_GRANTED: Final = frozenset({0, 1})
"""Granted, and granted with modifications (RFC 3161 §2.4.2)."""


class Stamping:
    """Has checkpoints stamped by the authority at `url`, and keeps the newest two in a sidecar.

    Raises:
        ConfigError: it is no URL, or the library for it is not installed.
    """

    def __init__(self, url: str, sidecar: Path) -> None:
        check_url(url)
        try:
            from rfc3161_client import HashAlgorithm, TimestampRequestBuilder  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise ConfigError("time stamps need the extra: aegis-mcp-gateway[timestamp]") from exc
        self._requests = TimestampRequestBuilder().hash_algorithm(HashAlgorithm.SHA256)
        self._url = url
        self._sidecar = sidecar

    def publish(self, note: bytes) -> None:
        """Return once a token for the note is kept.

        Raises:
            AnchorUnavailable: the authority has granted none.
            OSError: it cannot be kept.
        """
        request = self._requests.data(note).build()
        answer = post(self._url, request.as_bytes(), "application/timestamp-query")
        if answer.status != 200:
            raise AnchorUnavailable(f"the authority answers with status {answer.status}")
        _check(answer.body, request, sha256(note).digest())
        path = self._sidecar / f"stamped-{Checkpoint.parse(Note.parse(note).text).size}"
        # In this order a note never stands there without its token.
        put(path.with_name(f"{path.name}.tsr"), answer.body)
        put(path, note)
        self._drop_old()

    def _drop_old(self) -> None:
        sizes = sorted(int(found[1]) for one in self._sidecar.iterdir() if (found := _NAME.fullmatch(one.name)))
        for size in sizes[:-_KEPT]:
            (self._sidecar / f"stamped-{size}").unlink(missing_ok=True)
            (self._sidecar / f"stamped-{size}.tsr").unlink(missing_ok=True)


def _check(answer: bytes, request: TimeStampRequest, digest: bytes) -> None:
    """Hold an answer to its request (RFC 3161 §2.4.2): granted, of these bytes, and new."""
    from rfc3161_client import decode_timestamp_response  # noqa: PLC0415 - an extra

    try:
        response = decode_timestamp_response(answer)
        if response.status not in _GRANTED:
            why = "; ".join(response.status_string)[:200]
            raise AnchorUnavailable(f"the authority grants no token: status {response.status}, {why!r}")
        info = response.tst_info
    except ValueError as exc:
        raise AnchorUnavailable("the authority's answer is no TimeStampResp") from exc
    if not hmac.compare_digest(info.message_imprint.message, digest):
        raise AnchorUnavailable("the authority's token is of other bytes")
    if info.nonce != request.nonce:
        raise AnchorUnavailable("the authority's token is for another request")
