"""The ledger of a run: one JSON line for each thing that happened, in ``runs/``."""

import contextlib
import itertools
import json
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from catalog.items import clearcube_version
from jobs.errors import WorkspaceError
from jobs.job import Failure
from jobs.runner.measure import Measures


class Ledger:
    """Lines of one run, appended as they happen; what is there was done, whatever came after."""

    def __init__(self, folder: Path, job: str, request: dict[str, Any], group: str = "") -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.path = folder
        try:
            self.path, self._stream = _created(folder, f"{stamp}-{os.getpid()}-{job}")
        except OSError as error:
            raise WorkspaceError(f"cannot write a ledger in {folder}: {_why(error)}") from error
        # A number of a process is used again: its beginning tells whether it is still the same.
        born = process_born(os.getpid()) or 0.0
        self._write(
            "start",
            job=job,
            request=request,
            version=clearcube_version(),
            host=socket.gethostname(),
            pid=os.getpid(),
            born=born,
            # Runs of one command: those it asked for and those it needed.
            group=group or f"{os.getpid()}-{born:.2f}",
        )

    def plan(self, makes: list[str], current: list[str]) -> None:
        """What the run is going to make, and how much is current."""
        self._write("plan", makes=makes, current=len(current))

    def stage(self, name: str, units: int) -> None:
        """A stage begins."""
        self._write("stage", stage=name, units=units)

    def unit(
        self,
        stage: str,
        key: str,
        failure: Failure | None,
        measures: Measures | None = None,
        tries: int = 1,
    ) -> None:
        """A unit was done, or failed; with what its last try took."""
        details: dict[str, Any] = {} if measures is None else measures.document()
        if tries > 1:
            details["tries"] = tries
        if failure is None:
            self._write("done", stage=stage, unit=key, **details)
        else:
            self._write("failed", stage=stage, unit=key, cause=failure.cause, **details)

    def again(self, stage: str, key: str, cause: str, tried: int, wait: float) -> None:
        """A unit is going to be tried again after some seconds."""
        self._write("again", stage=stage, unit=key, cause=cause, tried=tried, wait=wait)

    def end(self, made: list[str], failures: list[Failure]) -> None:
        """The run came to its end."""
        self._write("end", made=made, failed=[str(failure) for failure in failures])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            # What stopped the run is to be told, not that this could not be written down as well.
            with contextlib.suppress(WorkspaceError):
                self._write("stopped", cause=f"{type(error).__name__}: {error}".rstrip(": "))
        with contextlib.suppress(OSError):
            self._stream.close()

    def _write(self, event: str, **details: Any) -> None:
        line = {"at": round(time.time(), 3), "event": event, **details}
        rest = (json.dumps(line, default=str) + "\n").encode()
        try:
            while rest:  # a disk that is nearly full takes a part
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            raise WorkspaceError(f"cannot write {self.path}: {_why(error)}") from error


def process_born(pid: int) -> float | None:
    """When the process of a number began, seconds since 1970; None where there is none."""
    try:
        return round(float(psutil.Process(pid).create_time()), 2)
    except psutil.Error:
        return None


def _created(folder: Path, name: str) -> tuple[Path, Any]:
    """A file of its own, without a buffer: what is written outlives the process at once."""
    for number in itertools.count(1):
        path = folder / (f"{name}.jsonl" if number == 1 else f"{name}-{number}.jsonl")
        with contextlib.suppress(FileExistsError):
            return path, path.open("xb", buffering=0)
    raise FileExistsError(f"no name is left for {name}")


def _why(error: OSError) -> str:
    return str(error.strerror or error)
