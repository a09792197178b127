"""The host's side of the process: descriptors 0 and 1, which carry the protocol and nothing else."""

from __future__ import annotations

import os
from typing import TypeAlias

Wire: TypeAlias = tuple[int, int]
"""The descriptors to read from and to write to."""


def claim() -> Wire:
    """Take the wire for the gateway alone, and return it.

    Afterwards descriptor 1 is stderr and descriptor 0 is empty: a stray print of any library, or a child that
    inherits the two, cannot put a byte between two frames or take one away.
    """
    wire_in, wire_out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return wire_in, wire_out
