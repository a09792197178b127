"""Programs in processes of their own that need not load anything: copies of a process that has loaded it once.

To start Python and to load a command takes ten times as long as most commands take to run. Here that is done once in
each process that tests; a run is a fork of it, with arguments, directory, environment, umask and streams of its own.
What differs from a program that is started: all that it may need is there before it begins, the hashes of text are
seeded alike in all runs, and at the end the modules are not taken apart. What hangs on the start or the end of a
command (streams that are closed, terminals, signals, limits, the installed script) is tested without this, and so is
everything on Windows, and where AEGIS_TEST_STARTED is set.

The process listens at a socket, and ends when its input does, at the latest with the process that tests. A copy is
killed when the one who asked for it closes the connection.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final, NoReturn

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))  # started as a script, it has no other way to its neighbour

from support.launcher import NUMBER, ask

_SDK: Final = "mcp,mcp.server.lowlevel.server,mcp.server.mcpserver,uvicorn,starlette.applications,httpx2"
_READ_AT_ITS_START: Final = ("PYTHON", "LC_", "LANG")
"""How the names of the variables begin that the interpreter itself reads, once."""

_IS_STARTED: Final = sys.platform == "win32" or "AEGIS_TEST_STARTED" in os.environ
_starting: Final = Lock()
_servers: Final[dict[tuple[object, ...], _Server]] = {}


def run(
    command: str, arguments: Iterable[str], env: Mapping[str, str], *, stdin: bytes = b"", seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m command` with its input and output in pipes.

    Raises:
        TimeoutExpired: it has not ended in time, and was killed.
    """
    line = (sys.executable, "-m", command, *arguments)
    if _IS_STARTED:
        return subprocess.run(line, input=stdin, capture_output=True, check=False, timeout=seconds, env=dict(env))
    (given, ours_in), (ours_out, out), (ours_err, err) = os.pipe(), os.pipe(), os.pipe()
    stdout, stderr = bytearray(), bytearray()
    threads = [
        Thread(target=_write, args=(ours_in, stdin)),
        Thread(target=_read, args=(ours_out, stdout)),
        Thread(target=_read, args=(ours_err, stderr)),
    ]
    with _server_for(command, env).connected() as connection:
        ask(connection, command, line[3:], env, given, out, err)
        for stream in (given, out, err):
            os.close(stream)
        for thread in threads:
            thread.start()
        connection.settimeout(seconds)
        try:
            (status,) = NUMBER.unpack(connection.recv(NUMBER.size))
        except TimeoutError:
            raise subprocess.TimeoutExpired(line, seconds) from None
    for thread in threads:
        thread.join(seconds)
    return subprocess.CompletedProcess(line, status, bytes(stdout), bytes(stderr))


def run_text(
    command: str, arguments: Iterable[str], env: Mapping[str, str], *, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run it without input; what it writes is UTF-8."""
    done = run(command, arguments, env, seconds=seconds)
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )


def program(script: Path, *arguments: str) -> tuple[str, ...]:
    """Return the command of one of the tests' own programs that stand on the SDK, which takes a second to load."""
    if _IS_STARTED:
        return (sys.executable, "-P", str(script), *arguments)
    launcher = script.with_name("launcher.py")
    place = _server_for(_SDK, {"LANG": "C.UTF-8"}).place
    return (sys.executable, "-I", "-S", str(launcher), place, str(script), *arguments)


class _Server:
    """The process that has it loaded, and where it listens."""

    def __init__(self, loaded: str, env: Mapping[str, str]) -> None:
        self._directory = tempfile.mkdtemp(prefix="aegis-")
        self.place = f"{self._directory}/socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.place)
            listener.listen(128)
            # Pipes, so that its streams are to the interpreter what those of a command are.
            self._process = subprocess.Popen(
                (sys.executable, "-P", __file__, loaded, str(listener.fileno()), self._directory),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                pass_fds=(listener.fileno(),),
            )
        atexit.register(self._process.communicate)

    def connected(self) -> socket.socket:
        """Return a connection to it."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.place)
        except OSError as exc:
            connection.close()
            raise AssertionError(self._process.communicate()) from exc
        return connection


def _server_for(loaded: str, env: Mapping[str, str]) -> _Server:
    read = {name: value for name, value in env.items() if name.startswith(_READ_AT_ITS_START)}
    key = (os.getpid(), loaded, *sorted(read.items()))
    with _starting:
        if key not in _servers:
            _servers[key] = _Server(loaded, read)
        return _servers[key]


def _write(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(descriptor, "wb") as stream:
        stream.write(data)


def _read(descriptor: int, into: bytearray) -> None:
    with open(descriptor, "rb") as stream:
        into += stream.read()


def _serve(listener: socket.socket) -> list[Any] | None:
    """Fork for each request; return the request in the copy, and None in the original at the end."""
    running: dict[socket.socket, int] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, _ignore)
    while True:
        ready = _ready([sys.stdin, listener, woken, *running])
        if sys.stdin in ready:
            return None
        for connection in running.keys() & ready:
            word = connection.recv(1)
            os.kill(running[connection], word[0] if word else signal.SIGKILL)
        if woken in ready:
            os.read(woken, 4096)
            _reap(running)
        if listener in ready:
            connection, _ = listener.accept()
            asked, streams = _received(connection)
            running[connection] = os.fork()
            if not running[connection]:
                _take_over(streams, [listener, *running], [woken, wake])
                return asked
            for stream in streams:
                os.close(stream)


def _ready(sources: Iterable[Any]) -> set[Any]:
    """Wait until something has come from one of these, whatever their numbers are, and return those."""
    with selectors.DefaultSelector() as selector:
        for source in sources:
            selector.register(source, selectors.EVENT_READ)
        return {key.fileobj for key, _ in selector.select()}


def _ignore(*_: object) -> None:
    """Be woken, and do nothing else."""


def _take_over(streams: list[int], sockets: list[socket.socket], pipes: list[int]) -> None:
    """Make the streams those of this copy, which has nothing to do with what else the original holds."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    for one in sockets:
        one.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for descriptor in (*pipes, *streams):
        os.close(descriptor)


def _received(connection: socket.socket) -> tuple[list[Any], list[int]]:
    header, streams, _, _ = socket.recv_fds(connection, NUMBER.size, 3)
    (size,) = NUMBER.unpack(header)
    return json.loads(connection.recv(size, socket.MSG_WAITALL)), streams


def _reap(running: dict[socket.socket, int]) -> None:
    """Tell those who have asked for a copy that has ended how it did."""
    for connection, pid in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del running[connection]
            with suppress(BrokenPipeError), connection:
                connection.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))


def _load(names: str) -> None:
    for name in names.split(","):
        package = import_module(name)
        if name.startswith("aegis_"):
            for one in pkgutil.walk_packages(package.__path__, f"{name}."):
                if not one.name.endswith("__main__"):
                    import_module(one.name)
    gc.collect()
    gc.freeze()


def _status_of(script: str) -> int:
    try:
        if script.endswith(".py"):
            runpy.run_path(script, run_name="__main__")
        else:
            runpy.run_module(script, run_name="__main__", alter_sys=True)
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


def _end(status: int) -> NoReturn:
    """End without taking apart all that was loaded, which takes as long as the command; what it has left may speak."""
    gc.collect()
    sys.stdout.flush()
    os._exit(status)


def _main(loaded: str, listener: str, directory: str) -> None:
    _load(loaded)
    asked = _serve(socket.socket(fileno=int(listener)))
    if asked is None:
        shutil.rmtree(directory)
        return
    script, arguments, env, directory, umask = asked
    os.umask(umask)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = [script, *arguments]
    is_module = not script.endswith(".py")
    sys.path[:1] = [directory] if is_module else filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    _end(_status_of(script))


if __name__ == "__main__":
    _main(*sys.argv[1:])
