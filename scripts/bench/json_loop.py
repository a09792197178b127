"""The yardstick of the verifier: what a few lines of Python do with the same file.

    python json_loop.py FILE

Each line is parsed, encoded again with sorted keys, hashed and compared; nothing else is looked at.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path


def main() -> None:
    """Exit with 0 if every entry has the hash that it states."""
    with Path(sys.argv[1]).open("rb") as log:
        for line in log:
            entry = json.loads(line)
            stated = entry.pop("entry_hash")
            body = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            if hashlib.sha256(b"\x00" + body).hexdigest() != stated:
                sys.exit(1)


if __name__ == "__main__":
    main()
