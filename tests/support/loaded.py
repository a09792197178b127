"""A command in a process of its own that need not load anything: a copy of a process that has loaded all of it.

To start Python and to load a command takes ten times as long as most commands take to run. Here that is done once in
each process that tests; a run is a fork of it, with arguments, directory, environment, umask and pipes of its own, in
which `__main__` of the command is run. What differs from `python -m`: every module of the command is there before it
begins, the hashes of text are seeded alike in all runs, and at the end the modules are not taken apart. What hangs on
the start or the end (streams that are closed, terminals, signals, limits, the installed script) is tested with
`python -m` or the script itself, and so is everything on Windows, and where AEGIS_TEST_STARTED is set.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final, NoReturn

_NUMBER: Final = struct.Struct("=i")
_READ_AT_ITS_START: Final = ("PYTHON", "LC_", "LANG")
"""How the names of the variables begin that the interpreter itself reads, once."""

_one_at_a_time: Final = Lock()
_servers: Final[dict[tuple[object, ...], _Server]] = {}


def run(
    module: str, arguments: Iterable[str], env: Mapping[str, str], *, stdin: bytes = b"", seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m module` with its input and output in pipes.

    Raises:
        TimeoutExpired: it has not ended in time, and was killed.
    """
    if sys.platform == "win32" or "AEGIS_TEST_STARTED" in os.environ:
        command = (sys.executable, "-m", module, *arguments)
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=seconds, env=dict(env))
    with _one_at_a_time:
        return _server_for(module, env).run(list(arguments), env, stdin, seconds)


def run_text(
    module: str, arguments: Iterable[str], env: Mapping[str, str], *, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run it without input; what it writes is UTF-8."""
    done = run(module, arguments, env, seconds=seconds)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


class _Server:
    """The process that has it loaded; it ends when the other end of its socket is closed, at the latest with ours."""

    def __init__(self, module: str, env: Mapping[str, str]) -> None:
        self._module = module
        self._socket, theirs = socket.socketpair()
        with theirs:
            # Pipes, so that its streams are to the interpreter what those of a command are.
            self._process = subprocess.Popen(
                (sys.executable, "-P", __file__, module, str(theirs.fileno())),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                pass_fds=(theirs.fileno(),),
            )
        atexit.register(self._end)

    def run(
        self, arguments: list[str], env: Mapping[str, str], stdin: bytes, seconds: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the command in a copy."""
        (given, ours_in), (ours_out, out), (ours_err, err) = os.pipe(), os.pipe(), os.pipe()
        pid = self._start([arguments, dict(env), str(Path.cwd()), _umask()], given, out, err)
        stdout, stderr = bytearray(), bytearray()
        threads = [
            Thread(target=_write, args=(ours_in, stdin)),
            Thread(target=_read, args=(ours_out, stdout)),
            Thread(target=_read, args=(ours_err, stderr)),
        ]
        for thread in threads:
            thread.start()
        try:
            status = self._answer(seconds)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._answer(seconds)
            raise subprocess.TimeoutExpired([self._module, *arguments], seconds) from None
        finally:
            for thread in threads:
                thread.join(seconds)
        return subprocess.CompletedProcess([self._module, *arguments], status, bytes(stdout), bytes(stderr))

    def _start(self, asked: Sequence[object], *streams: int) -> int:
        text = json.dumps(asked).encode()
        socket.send_fds(self._socket, [_NUMBER.pack(len(text))], streams)
        for stream in streams:
            os.close(stream)
        self._socket.sendall(text)
        return self._answer(60)

    def _answer(self, seconds: float) -> int:
        self._socket.settimeout(seconds)
        answer = self._socket.recv(_NUMBER.size)
        assert answer, f"it cannot load {self._module}: {self._process.communicate()}"
        return _NUMBER.unpack(answer)[0]

    def _end(self) -> None:
        self._socket.close()
        self._process.communicate()


def _server_for(module: str, env: Mapping[str, str]) -> _Server:
    read = {name: value for name, value in env.items() if name.startswith(_READ_AT_ITS_START)}
    key = (os.getpid(), module, *sorted(read.items()))
    if key not in _servers:
        _servers[key] = _Server(module, read)
    return _servers[key]


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _write(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(descriptor, "wb") as stream:
        stream.write(data)


def _read(descriptor: int, into: bytearray) -> None:
    with open(descriptor, "rb") as stream:
        into += stream.read()


def _serve(asked: socket.socket) -> list[Any] | None:
    """Fork for each request; return the request in the copy, and None in the original at the end."""
    while True:
        header, streams, _, _ = socket.recv_fds(asked, _NUMBER.size, 3)
        if not header:
            return None
        (size,) = _NUMBER.unpack(header)
        text = asked.recv(size, socket.MSG_WAITALL)
        if not (pid := os.fork()):
            asked.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return json.loads(text)
        for stream in streams:
            os.close(stream)
        asked.sendall(_NUMBER.pack(pid))
        asked.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


def _status_of(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


def _end(status: int) -> NoReturn:
    """End without taking apart all that was loaded, which takes as long as the command; what it has left may speak."""
    gc.collect()
    sys.stdout.flush()
    os._exit(status)


def _main(module: str, descriptor: str) -> None:
    package = import_module(module)
    for one in pkgutil.walk_packages(package.__path__, f"{module}."):
        if not one.name.endswith("__main__"):
            import_module(one.name)
    gc.collect()
    gc.freeze()
    if asked := _serve(socket.socket(fileno=int(descriptor))):
        arguments, env, directory, umask = asked
        os.umask(umask)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        sys.argv[1:] = arguments
        sys.path.insert(0, directory)
        _end(_status_of(module))


if __name__ == "__main__":
    _main(*sys.argv[1:])
