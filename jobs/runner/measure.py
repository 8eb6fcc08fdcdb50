"""What a unit took: time, processor, bytes and memory of the process that worked on it."""

import contextlib
import ctypes
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")

KEPT = 448 << 20
"""Resident bytes above which a process gives freed memory back before the next unit: libraries and
GDAL's cache take 400 MiB of them, the rest may serve again."""


@dataclass(slots=True)
class Measures:
    """Figures of one unit; of the whole process, which works on one unit at a time."""

    seconds: float = 0.0
    cpu: float = 0.0
    """Processor seconds of all threads."""
    read: int = 0
    """Bytes asked of files, in the system's cache or not; what comes over sockets is not counted."""
    written: int = 0
    """Bytes given to files."""
    peak: int = 0
    """Most resident memory, bytes; where it cannot be begun anew, the most since the process began."""
    worker: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        rounded = {"seconds": round(self.seconds, 3), "cpu": round(self.cpu, 3)}
        return asdict(self) | rounded


@contextlib.contextmanager
def measuring(worker: str) -> Iterator[Measures]:
    """Measure what is done meanwhile; the figures are there at the end, whatever it was."""
    found = Measures(worker=worker)
    _give_back()
    _begin_peak()
    read, written = _bytes()
    cpu, clock = time.process_time(), time.perf_counter()
    try:
        yield found
    finally:
        found.seconds = time.perf_counter() - clock
        found.cpu = time.process_time() - cpu
        after = _bytes()
        found.read, found.written = after[0] - read, after[1] - written
        found.peak = _peak()


def _give_back() -> None:
    """Return freed memory to the system where much of it is kept (malloc_trim(3), glibc only).

    Pieces in use between freed ones keep a heap from shrinking by itself: after strips of masks of
    a whole tile it held 190 MiB for nothing.
    """
    with contextlib.suppress(OSError, AttributeError, psutil.Error):
        if psutil.Process().memory_info().rss > KEPT:
            ctypes.CDLL(None).malloc_trim(0)


def _begin_peak() -> None:
    """Let the kernel's high-water mark begin again (proc(5), clear_refs): exact, and costs nothing.

    A thread that looks every 50 ms would miss peaks between two looks, and wait for Python's lock.
    """
    with contextlib.suppress(OSError):
        CLEAR_REFS.write_text("5")


def _peak() -> int:
    try:
        found = STATUS.read_text().partition("VmHWM:")[2].split()
        return int(found[0]) * 1024
    except (OSError, IndexError, ValueError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _bytes() -> tuple[int, int]:
    try:
        found = psutil.Process().io_counters()
    except (psutil.Error, OSError, AttributeError, NotImplementedError):
        return 0, 0
    # Not on every system does it know of more than what came from disks.
    read = getattr(found, "read_chars", found.read_bytes)
    return int(read), int(getattr(found, "write_chars", found.write_bytes))
