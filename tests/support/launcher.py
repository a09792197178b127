"""Start a program as a copy of a process that has loaded what it needs, with the streams and the end of this one.

    python -I -S launcher.py SOCKET SCRIPT ARGUMENTS…

`support.loaded` has the process at the other end of SOCKET. A signal that comes here is passed on; when this process is
killed, so is the copy.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

NUMBER: Final = struct.Struct("=i")
_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT)


def ask(
    connection: socket.socket, script: str, arguments: Sequence[str], env: Mapping[str, str], *streams: int
) -> None:
    """Ask for a copy with these streams that runs a script, or a package if there is no suffix."""
    umask = os.umask(0o077)
    os.umask(umask)
    text = json.dumps([script, list(arguments), dict(env), str(Path.cwd()), umask]).encode()
    socket.send_fds(connection, [NUMBER.pack(len(text))], streams)
    connection.sendall(text)


def main(place: str, script: str, *arguments: str) -> NoReturn:
    """Run a script so."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        ask(connection, script, arguments, os.environ, 0, 1, 2)
        for number in _PASSED_ON:
            signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        (status,) = NUMBER.unpack(connection.recv(NUMBER.size))
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main(*sys.argv[1:])
