"""A PostgreSQL of the tests' own: its data directory, a free port of loopback, nobody else's."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "postgres"
"""Who runs it where the tests are root's: initdb refuses root."""


def binaries() -> Path | None:
    """Folder of initdb and the like; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


@contextmanager
def running() -> Iterator[str]:
    """URL of a server with no database of ours; it and its files are gone afterwards."""
    home = binaries()
    assert home is not None
    folder = Path(tempfile.mkdtemp(prefix="clearcube-postgres-"))
    as_user = []
    if os.getuid() == 0:
        shutil.chown(folder, USER, USER)
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(name: str, *arguments: str) -> None:
        log = (folder.parent / f"{folder.name}.log").open("ab")
        with log:
            command = [*as_user, str(home / name), *arguments]
            # Not in a pipe: the server would keep it open.
            subprocess.run(command, cwd="/", stdout=log, stderr=log, check=True, timeout=120)

    data = str(folder / "data")
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off "
        "-c synchronous_commit=off -c full_page_writes=off -c max_connections=60 -c jit=off"
    )
    try:
        call("initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        call("pg_ctl", "-D", data, "-w", "-o", options, "start")
        try:
            yield f"postgresql://{USER}@127.0.0.1:{port}"
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        (folder.parent / f"{folder.name}.log").unlink(missing_ok=True)
