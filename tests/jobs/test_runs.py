"""Ledgers of runs: written line by line, read whatever became of them, listed by a command."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import RequestError, WorkspaceError
from jobs.job import Failure
from jobs.runner.ledger import Ledger
from jobs.runner.measure import Measures
from jobs.runs import RunState, find_run, list_runs, read_run
from jobs.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as found:
        found.require()
        yield found


def took(seconds: float) -> Measures:
    return Measures(seconds, seconds / 2, read=3_000_000, written=1_000_000, peak=10**9, worker="w")


def write_run(folder: Path, **changes: Any) -> Path:
    """A run of three units, of which one failed after two tries more."""
    broken = Failure("c", "c: cannot read c.tif: HTTP response code: 503")
    with Ledger(folder, "cube", {"tile": "31TCJ", "datetime": None}) as ledger:
        ledger.plan(["a", "b", "c"], ["z"])
        ledger.stage("cube 31TCJ", 3)
        ledger.unit("cube 31TCJ", "a", None, took(1.0))
        ledger.again("cube 31TCJ", "c", "503", 1, 1.0)
        ledger.unit("cube 31TCJ", "b", None, took(2.0))
        ledger.unit("cube 31TCJ", "c", broken, took(3.0), 2)
        ledger.end(["before", "a", "b"], [broken])
    if changes:
        lines = ledger.path.read_text().splitlines()
        start = json.loads(lines[0]) | changes
        ledger.path.write_text("\n".join([json.dumps(start), *lines[1:]]) + "\n")
    return ledger.path


def without_end(path: Path) -> Path:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    return path


# --- writing --------------------------------------------------------------------------------------


def test_a_line_a_thing_that_happened(workspace) -> None:
    lines = [json.loads(line) for line in write_run(workspace.runs).read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "start", "plan", "stage", "done", "again", "done", "failed", "end",
    ]  # fmt: skip
    assert lines[0]["pid"] == os.getpid()
    assert lines[0]["group"].startswith(f"{os.getpid()}-")
    assert lines[3] | {"at": 0} == {
        "at": 0, "event": "done", "stage": "cube 31TCJ", "unit": "a", "seconds": 1.0, "cpu": 0.5,
        "read": 3_000_000, "written": 1_000_000, "peak": 10**9, "worker": "w",
    }  # fmt: skip
    assert lines[6]["tries"] == 2


def test_runs_that_begin_in_one_second_have_a_file_each(workspace) -> None:
    paths = {write_run(workspace.runs) for _ in range(3)}
    assert len(paths) == 3
    assert {str(read_run(path).state) for path in paths} == {"failed"}
    assert len({read_run(path).group for path in paths}) == 1


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(WorkspaceError, match=r"cannot write a ledger in .*runs: Not a directory"):
        Ledger(tmp_path / "runs", "cube", {})


def test_a_full_disk_is_one_line_and_the_file_is_read_still(workspace) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ledger = Ledger(workspace.runs, "cube", {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.path.stat().st_size + 40, limits[1]))
    try:
        with pytest.raises(WorkspaceError, match=f"cannot write {ledger.path}: ") as error, ledger:
            ledger.plan(["a" * 100], [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(error.value)
    assert read_run(ledger.path).state == RunState.RUNNING


def test_what_was_written_outlives_a_killed_process(workspace) -> None:
    code = (
        "import sys, time; from pathlib import Path; from jobs.runner.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), 'cube', {}); ledger.stage('s', 9)\n"
        "ledger.unit('s', 'a', None); print(ledger.path, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(workspace.runs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        record = read_run(path)
        assert (record.state, record.done, record.planned) == (RunState.RUNNING, 1, 9)
        process.kill()
        process.wait()
    record = read_run(path)
    assert (record.state, record.done, record.planned) == (RunState.KILLED, 1, 9)


# --- reading --------------------------------------------------------------------------------------


def test_a_record_holds_the_figures_of_a_run(workspace) -> None:
    path = write_run(workspace.runs)
    record = read_run(path)
    assert record.id == path.stem
    assert (record.job, record.request["tile"]) == ("cube", "31TCJ")
    assert (record.done, record.failed, record.planned) == (2, 1, 3)
    assert record.made == ["a", "b"]
    assert record.causes == ["c: cannot read c.tif: HTTP response code: 503"]
    assert record.bytes == 12_000_000
    assert 0 <= record.seconds < 5
    (stage,) = record.stages
    assert (stage.tries, stage.work, stage.cpu, stage.peak) == (1, 6.0, 3.0, 10**9)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "running"),
        ({"born": 1.0}, "killed"),  # the number of a process is used again
        ({"pid": 2**22 - 1}, "killed"),
        ({"host": "elsewhere"}, "unknown"),
        ({"born": None}, "unknown"),
    ],
)
def test_runs_without_an_end_are_alive_or_not(changes, state, workspace) -> None:
    assert read_run(without_end(write_run(workspace.runs, **changes))).state == state


def test_a_run_that_failed_nowhere_is_done(workspace) -> None:
    with Ledger(workspace.runs, "cube", {}) as ledger:
        ledger.end(["a"], [])
    assert read_run(ledger.path).state == RunState.DONE


@pytest.mark.parametrize(
    ("error", "cause"),
    [(KeyboardInterrupt(), "KeyboardInterrupt"), (ValueError("no"), "ValueError: no")],
)
def test_a_run_that_was_stopped_says_why(error, cause, workspace) -> None:
    with pytest.raises(type(error)), Ledger(workspace.runs, "cube", {}) as ledger:
        raise error
    record = read_run(ledger.path)
    assert (record.state, record.cause, record.causes) == (RunState.STOPPED, cause, [cause])


def test_a_line_that_was_cut_is_passed_over(workspace) -> None:
    path = write_run(workspace.runs)
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        record = read_run(path)
        assert record is None or record.done <= 2
    path.write_bytes(b"\xff\x00[1]\n")
    assert read_run(path) is None
    assert list_runs(workspace) == []


def test_runs_are_listed_newest_first_and_found_by_their_beginning(workspace) -> None:
    for number in range(3):
        path = write_run(workspace.runs)
        path.rename(path.with_name(f"2026010{number + 1}T000000-1-cube.jsonl"))
    (workspace.runs / "cube-31TCJ.lock").touch()
    ids = [record.id[:8] for record in list_runs(workspace)]
    assert ids == ["20260103", "20260102", "20260101"]
    assert [record.id[:8] for record in list_runs(workspace, 2)] == ids[:2]
    assert find_run(workspace, "20260102").id == "20260102T000000-1-cube"
    with pytest.raises(RequestError, match="3 runs begin with '2026'"):
        find_run(workspace, "2026")
    with pytest.raises(RequestError, match="there is no run 'x'"):
        find_run(workspace, "x")


# --- the command ----------------------------------------------------------------------------------


def test_the_command_lists_runs_in_a_table(workspace, clearcube) -> None:
    path = workspace.settings.workspace
    said = clearcube(path, "runs")
    assert (said.status, said.out) == (0, "")
    run = write_run(workspace.runs)
    said = clearcube(path, "runs")
    head, line = said.out.splitlines()
    assert head.split() == ["run", "state", "units", "failed", "time", "data", "request"]
    words = line.split()
    assert words[:4] == [run.stem, "failed", "2/3", "1"]
    assert words[6:] == ["12.0", "MB", "tile=31TCJ"]
    assert head.index("state") == line.index("failed")


def test_the_command_tells_all_about_a_run(workspace, clearcube) -> None:
    run = write_run(workspace.runs)
    said = clearcube(workspace.settings.workspace, "runs", run.stem)
    lines = said.out.splitlines()
    assert lines[0] == f"{run.stem}: failed"
    assert lines[-1] == "failed: c: cannot read c.tif: HTTP response code: 503"
    stage = next(line for line in lines if line.startswith("cube 31TCJ"))
    assert stage.split()[2:5] == ["2/3", "1", "1"]
    assert stage.split()[-6:] == ["9.0", "MB", "3.0", "MB", "1.0", "GB"]


def test_the_command_speaks_json(workspace, clearcube) -> None:
    run = write_run(workspace.runs)
    path = workspace.settings.workspace
    (listed,) = json.loads(clearcube(path, "runs", "--json", "--limit", "1").out)
    assert json.loads(clearcube(path, "runs", run.stem, "--json").out) == listed
    assert listed["units"] == {"planned": 3, "done": 2, "failed": 1}
    assert listed["state"] == "failed"
    assert listed["bytes"] == 12_000_000
    assert listed["stages"][0]["peak"] == 10**9


def test_the_command_refuses_what_is_not_there(tmp_path: Path, clearcube) -> None:
    clearcube(tmp_path / "no", "runs").refused("there is no workspace at")
    (tmp_path / "w").mkdir()
    clearcube(tmp_path / "w", "runs", "2020").refused("there is no run '2020'")
    assert not (tmp_path / "w" / "runs").exists()


def test_many_runs_are_read_in_no_time(workspace) -> None:
    path = write_run(workspace.runs)
    for number in range(300):
        (workspace.runs / f"20260101T{number:06d}-1-cube.jsonl").write_bytes(path.read_bytes())
    begun = time.perf_counter()
    assert len(list_runs(workspace)) == 301
    assert time.perf_counter() - begun < 2
