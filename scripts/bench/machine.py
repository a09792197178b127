"""What a figure depends on besides the code: the machine, told without a path; and one core for everything."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_LIBRARIES: Final = ("uvloop", "orjson")


def facts(directory: Path) -> dict[str, str]:
    """Return what a reader must know of this machine; files of the run are in `directory`."""
    libraries = [f"{name} {installed}" for name in _LIBRARIES if (installed := _version(name))]
    return {
        "cpu": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, files on {_file_system(directory)}",
        "python": ", ".join([f"{platform.python_implementation()} {platform.python_version()}", *libraries]),
    }


def pin_to_one_core() -> str:
    """Bind this process and all that it starts to one core, where the platform can; say what was done."""
    if sys.platform != "linux":
        return "the processes run on any core"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return "all processes share one core"


def tells_memory() -> bool:
    """Tell whether the platform says what its processes hold: only then the following can be asked."""
    return Path("/proc/self/smaps_rollup").exists()


def peak_mib(pid: int) -> float:
    """Return the most memory that a process has ever held."""
    return _field(Path(f"/proc/{pid}/status"), "VmHWM")


def proportional_mib(pid: int) -> float:
    """Return the memory that a process holds, with what it shares with others divided among them."""
    return _field(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    listings = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listing in listings for child in listing.read_text(encoding="ascii").split()]


def is_running(pid: int, command: Sequence[str]) -> bool:
    """Tell whether a process runs exactly this command."""
    return Path(f"/proc/{pid}/cmdline").read_bytes() == "\0".join([*command, ""]).encode()


def _field(file: Path, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(encoding="ascii"), re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _file_system(directory: Path) -> str:
    """Return the kind of file system that a directory is on: a sync costs nothing on some."""
    device = directory.stat().st_dev
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "an unknown file system"
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = [line.split(" - ")[1].split()[0] for line in mounts if line.split()[2] == number]
    return kinds[-1] if kinds else "an unknown file system"
