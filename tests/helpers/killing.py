"""Commands that are killed, or find the disk full, at a chosen point of what they do.

Run as a program, it serves them: it has imported everything, and forks for each command, so that
one begins at once. The code under test knows nothing of it: functions are replaced in the process
that is to die.
"""

import ctypes
import functools
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

PRELOADED = (
    "distributed",
    "jobs.build_cube",
    "jobs.cli",
    "jobs.cloud_mask",
    "jobs.commands.run",
    "jobs.decode_masks",
    "jobs.runner.run",
    "jobs.synthesis",
    "jobs.upkeep",
    "pystac.validation.stac_validator",
    "xarray",
    "zarr",
)


@dataclass(frozen=True)
class Point:
    """Just before or after a call of a function."""

    function: str
    """``module:name``, where the caller looks it up."""
    when: str = "before"
    call: int = 1
    """Which call it is, of those that meet ``about``."""
    about: str = ""
    """Text within the arguments."""

    def __str__(self) -> str:
        number = f"#{self.call}" if self.call > 1 else ""
        module, _, name = self.function.partition(":")
        name = f"{module.rpartition('.')[2]}.{name}"
        return f"{self.when} {name}{number} {self.about}".rstrip()


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    """Exit status; less than 0 where a signal ended it."""
    out: str
    err: str


# --- in the process that it is about --------------------------------------------------------------


def install(point: Point, act: Callable[[], None]) -> None:
    """Replace a function by one that acts at the point."""
    owner, name = _found(point)
    real = getattr(owner, name)
    calls = 0

    @functools.wraps(real)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        is_meant = point.about in f"{args} {kwargs}" if point.about else True
        calls += is_meant
        is_due = is_meant and calls == point.call
        if is_due and point.when == "before":
            act()
        found = real(*args, **kwargs)
        if is_due and point.when == "after":
            act()
        return found

    call.replaced = real  # type: ignore[attr-defined]
    setattr(owner, name, call)


def restore(point: Point) -> None:
    """Put the function back that :func:`install` replaced."""
    owner, name = _found(point)
    setattr(owner, name, getattr(getattr(owner, name), "replaced", getattr(owner, name)))


def _found(point: Point) -> tuple[Any, str]:
    module, _, path = point.function.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    return owner, name


def arm(point: dict[str, Any], flag: str) -> None:
    """Have the first worker that comes to a point die there; the file says that it did.

    Arguments of what runs on workers are plain, as they go there by the name of their module.
    """

    def die_first() -> None:
        with suppress(FileExistsError):
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGKILL)

    install(Point(**point), die_first)


def clutter(point: dict[str, Any]) -> None:
    """Have the disk of a worker be full from a point on."""
    install(Point(**point), fill_disk)


def nanny_state(dask_worker: Any) -> str:
    """What a worker's nanny is at; it starts no worker anew before it is ``running`` itself."""
    return str(dask_worker.status.name)


def obey_on_worker(does: bool, dask_worker: Any) -> None:
    """:func:`obey_permissions` in the thread that does a worker's units."""
    dask_worker.executors["default"].submit(obey_permissions, does).result()


def disarm(point: dict[str, Any]) -> None:
    """Undo :func:`arm` and :func:`clutter`."""
    restore(Point(**point))
    empty_disk()


def fill_disk() -> None:
    """No file may grow any more: what a full disk does to a writer.

    Python ignores SIGXFSZ, so that writing fails as it does for want of room.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def empty_disk() -> None:
    """Undo :func:`fill_disk`."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def files_of(workspace: str) -> dict[str, tuple[int, int]]:
    """Every file of a workspace -> what tells whether it was written again.

    Workers may still be ending units of a driver that was killed: what goes meanwhile is left out,
    directories, too, which `Path.rglob` would stop at.
    """
    found = {}
    for folder, _folders, names in os.walk(workspace):
        for path in (Path(folder, name) for name in names):
            with suppress(FileNotFoundError):
                found[str(path)] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


OVERRIDE = (1 << 1) | (1 << 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capabilities(7)), by which root may write anywhere."""


def obey_permissions(does: bool = True) -> None:
    """Have this thread meet read-only directories as any user does, even root; or no longer."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    if libc.capget(header, held) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    held[0] = held[0] & ~OVERRIDE if does else held[0] | held[1] & OVERRIDE
    if libc.capset(header, held) != 0:
        raise OSError(ctypes.get_errno(), "capset")


# --- the server -----------------------------------------------------------------------------------


class Commands:
    """Processes of the command line, started by a server; a context."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(
        self,
        workspace: Path,
        *arguments: str,
        kill: Point | None = None,
        fill: Point | None = None,
        record: tuple[Point, Path] | None = None,
        obedient: bool = False,
        victim: int = 0,
        **environment: str,
    ) -> int:
        """Start ``clearcube`` -> its process.

        It is killed at the point ``kill`` (or kills ``victim`` there), or writes no byte more
        after ``fill``, or records :func:`files_of` its workspace in a file.
        """
        return int(
            self._ask(
                arguments=["clearcube", "--workspace", str(workspace), *arguments],
                workspace=str(workspace),
                environment=environment,
                kill=kill and asdict(kill),
                fill=fill and asdict(fill),
                record=record and [asdict(record[0]), str(record[1])],
                obedient=obedient,
                victim=victim,
            )
        )

    def wait(self, process: int) -> Ended:
        """Wait for the end of a process."""
        return Ended(**self._ask(wait=process))

    def __call__(self, workspace: Path, *arguments: str, **options: Any) -> Ended:
        """Start and wait."""
        return self.wait(self.start(workspace, *arguments, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.communicate()

    def _ask(self, **request: Any) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())


def serve() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    # Reading the schemas of STAC takes longer than anything that a small run does.
    importlib.import_module("catalog.items")._validator("Feature")
    outputs: dict[int, tuple[int, int]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            pid = request["wait"]
            out, err = (_content(stream) for stream in outputs.pop(pid))
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            answer: Any = asdict(Ended(status, out, err))
        else:
            out_read, out_write = os.pipe()
            err_read, err_write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(out_write, 1)
                os.dup2(err_write, 2)
                _be(request)
            os.close(out_write)
            os.close(err_write)
            outputs[pid] = (out_read, err_read)
            answer = pid
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _content(stream: int) -> str:
    """All that is written to a pipe until nobody holds its other end."""
    with os.fdopen(stream, "rb") as reader:
        return reader.read().decode()


def _be(request: dict[str, Any]) -> None:
    """Become the command of a request."""
    from jobs.cli import main

    os.environ.update(request["environment"])
    if request["obedient"]:
        obey_permissions()
    if request["kill"]:
        victim = request["victim"] or os.getpid()
        install(Point(**request["kill"]), lambda: os.kill(victim, signal.SIGKILL))
    if request["fill"]:
        install(Point(**request["fill"]), fill_disk)
    if request["record"]:
        point, file = request["record"]
        found = functools.partial(files_of, request["workspace"])
        install(Point(**point), lambda: _write(file, json.dumps(found())))
    sys.argv = request["arguments"]
    main()


def _write(file: str, text: str) -> None:
    Path(file).write_text(text)


if __name__ == "__main__":
    serve()
