"""A browser without a person: it follows redirects from an address to where they end, and says what it was shown.

    python -P browser.py OUTPUT [PARAMETER=VALUE …] URL

With parameters it puts those into the query of the last address before it goes there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx2

CALLBACK = "/callback"


def main(output: str, *rest: str) -> None:
    """Go there."""
    *changes, url = rest
    changed = dict(change.split("=", 1) for change in changes)
    with httpx2.Client(timeout=10) as client:
        response = client.get(url)
        while response.next_request is not None:
            parts = urlsplit(str(response.next_request.url))
            query = dict(parse_qsl(parts.query)) | (changed if parts.path == CALLBACK else {})
            response = client.get(urlunsplit(parts._replace(query=urlencode(query))))
    Path(output).write_text(f"{response.status_code}\n{response.text}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
