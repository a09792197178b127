"""Streams for people: lines, tables and a progress bar, in colour on a terminal and plain in a pipe.

The only module that knows `rich`. Texts come escaped.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from itertools import islice
from shutil import get_terminal_size
from textwrap import wrap
from typing import Final, NoReturn, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from aegis_audit.escape import defuse

MAX_SHOWN: Final = 100
"""Findings, notes, or rows of one table of a summary that text shows; JSON has more."""

_LONG: Final = 32 << 20
"""Bytes from which on an input takes long enough for a progress bar."""

_PROSE_WIDTH: Final = 100
GAP: Final = "  "


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the edge: `rich` would end the process with the status of a tampered log."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class Screen:
    """One stream that takes lines of escaped text, piece by piece; a style is seen only on a terminal with colours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        self._console = _Console(
            file=stream,
            width=get_terminal_size().columns,  # which takes COLUMNS=0 for nothing said; `rich` would then show nothing
            force_terminal=self.is_terminal,  # whatever FORCE_COLOR says: a pipe gets no escape sequence
            color_system="auto" if self.is_terminal and not os.environ.get("NO_COLOR") else None,
            highlight=False,
            markup=False,
            emoji=False,
        )

    @property
    def width(self) -> int:
        """Return the columns of the terminal."""
        return self._console.width

    def line(self, *pieces: tuple[str, str] | str) -> None:
        """Write one line of texts, or of texts with their styles."""
        if self._console.color_system:
            self._console.print(Text.assemble(*pieces), soft_wrap=True)
        else:
            self._stream.write("".join(piece if isinstance(piece, str) else piece[0] for piece in pieces) + "\n")

    def prose(self, text: str) -> None:
        """Write sentences, at most as wide as is easily read."""
        for line in wrap(text, min(self.width, _PROSE_WIDTH) if self.is_terminal else _PROSE_WIDTH):
            self.line(line)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int) -> None:
        """Write a table whose first columns are `numbers`; of more than `MAX_SHOWN` rows, the number of the rest."""
        rows = iter(rows)
        lines = [heads, *islice(rows, MAX_SHOWN)]
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        for index, cells in enumerate(lines):
            padded = [
                " " * (width - cell_len(cell)) + cell if at < numbers else cell + " " * (width - cell_len(cell))
                for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            self.line((GAP.join(padded).rstrip(), "" if index else "bold"))
        if left := sum(1 for _ in rows):
            self.line(f"and {left:,} more; --format json has them")
        self.line()

    def fit(self, text: str, width: int, *, is_number: bool) -> str:
        """Return a cell of so many columns: filled up, and on a terminal cut; in a pipe it is as long as it is."""
        spare = width - cell_len(text)
        if spare >= 0:
            return " " * spare + text if is_number else text + " " * spare
        return set_cell_size(text, width - 1) + "…" if self.is_terminal else text

    def flush(self) -> None:
        """Let what was written be seen."""
        self._stream.flush()


@contextmanager
def progress(total: int, label: str) -> Generator[Callable[[int], None]]:
    """Give a function to call with the bytes of each step; a large input shows a bar on a terminal."""
    if total < _LONG or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    console = _Console(file=sys.stderr)
    # The bar leaves both streams to those who write to them: standard output may be a file or a pipe.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task(defuse(label), total=total)
        yield lambda size: bar.advance(task, size)


def many(count: int, one: str, more: str = "") -> str:
    """Return a number with its noun."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
