"""The ledger of a run: one JSON line for each thing that happened, in ``runs/``."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from catalog.items import clearcube_version
from jobs.errors import WorkspaceError
from jobs.job import Failure


class Ledger:
    """Lines of one run, appended as they happen; what is there was done, whatever came after."""

    def __init__(self, folder: Path, job: str, request: dict[str, Any]) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.path = folder / f"{stamp}-{os.getpid()}-{job}.jsonl"
        try:
            self._stream = self.path.open("a", buffering=1)
        except OSError as error:
            raise WorkspaceError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._write("start", job=job, request=request, version=clearcube_version())

    def plan(self, makes: list[str], current: list[str]) -> None:
        """What the run is going to make, and how much is current."""
        self._write("plan", makes=makes, current=len(current))

    def unit(self, stage: str, key: str, failure: Failure | None) -> None:
        """A unit was done, or failed."""
        if failure is None:
            self._write("done", stage=stage, unit=key)
        else:
            self._write("failed", stage=stage, unit=key, cause=failure.cause)

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
            self._write("stopped", cause=f"{type(error).__name__}: {error}")
        self._stream.close()

    def _write(self, event: str, **details: Any) -> None:
        line = {"at": round(time.time(), 3), "event": event, **details}
        try:
            self._stream.write(json.dumps(line, default=str) + "\n")
        except OSError as error:
            raise WorkspaceError(f"cannot write {self.path}: {error.strerror or error}") from error
