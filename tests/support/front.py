"""The gateway in front of a server on stdio that it reaches over HTTP: what a test of a command does to a URL.

    python -P front.py PORT OPTIONS… -- COMMAND ARGUMENTS…

PORT is a file: the server keeps its address from one gateway to the next, as servers do. The options are those of
`aegis-mcp wrap`. The bridge to the server ends with the gateway, whose process this becomes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BRIDGE = Path(__file__).with_name("bridge.py")


def main(port: str, *arguments: str) -> None:
    """Start the bridge and become the gateway."""
    end = arguments.index("--")
    ours, gateways = os.pipe()
    bridge = subprocess.Popen(
        (sys.executable, "-P", str(BRIDGE), "--until-eof", port, *arguments[end + 1 :]),
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
