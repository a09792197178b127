"""The gateway in front of a server on stdio that it reaches over HTTP: what a test of a command does to a URL.

    python -P front.py BRIDGE OPTIONS… -- COMMAND ARGUMENTS…

BRIDGE is a command as a list in JSON, to which the one of the server is added. The options are those of
`aegis-mcp wrap`. The bridge to the server ends with the gateway, whose process this becomes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys


def main(command: str, *arguments: str) -> None:
    """Start the bridge and become the gateway."""
    end = arguments.index("--")
    ours, gateways = os.pipe()
    bridge = subprocess.Popen(
        (*json.loads(command), *arguments[end + 1 :]),
        stdin=ours,
        stdout=subprocess.PIPE,
    )
    assert bridge.stdout
    url = bridge.stdout.readline().decode().strip()
    os.set_inheritable(gateways, True)  # it is closed by the end of the gateway, whatever that is
    gateway = (sys.executable, "-m", "aegis_mcp", "wrap", *arguments[:end], "--url", url)
    os.execv(sys.executable, gateway)  # noqa: S606 - no shell has to read it


if __name__ == "__main__":
    main(*sys.argv[1:])
