"""Units on workers: tries by kind of failure, measures, names of tasks, a scheduler that is lost."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import rasterio
from dask.utils import key_split
from distributed import Client

from cube.errors import MaskError, SourceError
from cube.rasters import read_through
from jobs.errors import SchedulerError
from jobs.job import Failure, Stage, Unit
from jobs.runner import submit
from jobs.runner.ledger import Ledger
from jobs.runner.measure import Measures, measuring
from jobs.runner.progress import Progress
from jobs.runner.submit import call, run_stage, task_key

HERE = Path(__file__)

# Workers cannot import this module: its functions go to them whole.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def client(cluster_address: str) -> Iterator[Client]:
    with Client(cluster_address, set_as_default=False) as client:
        client.run(call, sleep, 0.0)  # so that workers have imported what they need
        yield client


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "BACKOFF", (0.3, 0.5, 0.3))


def run(
    client: Client, folder: Path, function: Any, payloads: dict[str, Any]
) -> tuple[list[Failure], dict[str, Any], list[dict[str, Any]]]:
    """A stage of a unit a payload -> failures, results by unit, lines of the ledger."""
    done: dict[str, Any] = {}
    units = [Unit(key, payload) for key, payload in payloads.items()]
    stage = Stage("cube 31TCJ", units, function, lambda unit, value: done.update({unit.key: value}))
    with Ledger(folder, "cube", {}) as ledger:
        failures = run_stage(client, stage, "cube", ledger, Progress(quiet=True))
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    return failures, done, lines


# --- what is done on workers ----------------------------------------------------------------------


def busy_until(path: str, times: int) -> int:
    """Fail as a server does until asked for the time after ``times``."""
    with Path(path).open("a") as stream:
        stream.write("x")
    tried = Path(path).stat().st_size
    if tried <= times:
        raise SourceError(f"cannot read {path}: HTTP response code: 503")
    return tried


def flaky(task: tuple[str, int]) -> int:
    return busy_until(*task)


def refuse(path: str) -> None:
    with Path(path).open("a") as stream:
        stream.write("x")
    raise MaskError("value 99 has no meaning")


def work(path: str) -> int:
    block = np.ones(80_000_000, np.uint8)
    Path(path).write_bytes(block[:5_000_000].tobytes())
    return len(Path(path).read_bytes())


def fetch(href: str) -> str:
    os.environ.update(GDAL_HTTP_MAX_RETRY="0", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")
    read_through(href)
    return href


def die(_payload: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_or_sleep(seconds: float | None) -> float:
    if seconds is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return sleep(seconds or 0.0)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


# --- tries ----------------------------------------------------------------------------------------


@pytest.mark.cluster
def test_a_source_that_fails_twice_is_asked_a_third_time(client, quick, tmp_path: Path) -> None:
    payloads = {"31TCJ-a": (str(tmp_path / "a"), 2), "31TCJ-b": (str(tmp_path / "b"), 0)}
    failures, done, lines = run(client, tmp_path, flaky, payloads)
    assert failures == []
    assert done == {"31TCJ-a": 3, "31TCJ-b": 1}
    assert list(done) == ["31TCJ-b", "31TCJ-a"]  # others go on meanwhile
    again = [line for line in lines if line["event"] == "again"]
    assert [(line["unit"], line["tried"], line["wait"]) for line in again] == [
        ("31TCJ-a", 1, 0.3),
        ("31TCJ-a", 2, 0.5),
    ]
    assert "503" in again[0]["cause"]
    tries = {line["unit"]: line.get("tries") for line in lines if line["event"] == "done"}
    assert tries == {"31TCJ-a": 3, "31TCJ-b": None}


@pytest.mark.cluster
def test_a_source_that_always_fails_is_given_up_at_the_fourth(
    client, quick, tmp_path: Path
) -> None:
    failures, done, lines = run(client, tmp_path, flaky, {"a": (str(tmp_path / "a"), 99)})
    assert [str(failure.key) for failure in failures] == ["a"]
    assert failures[0].cause.endswith("HTTP response code: 503")
    assert done == {}
    assert (tmp_path / "a").read_text() == "xxxx"
    assert lines[-1]["event"] == "failed"
    assert lines[-1]["tries"] == 4


@pytest.mark.cluster
def test_a_refusal_is_tried_once(client, quick, tmp_path: Path) -> None:
    failures, _done, lines = run(client, tmp_path, refuse, {"a": str(tmp_path / "a")})
    assert failures == [Failure("a", "value 99 has no meaning")]
    assert (tmp_path / "a").read_text() == "x"
    assert [line["event"] for line in lines] == ["start", "stage", "failed"]
    assert set(lines[-1]) >= {"seconds", "cpu", "read", "written", "peak", "worker"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    pixels = np.random.default_rng(1).integers(0, 10000, (1, 512, 512), "uint16")
    about = {"driver": "GTiff", "height": 512, "width": 512, "count": 1, "dtype": "uint16"}
    with rasterio.open(tmp_path / "a.tif", "w", **about, compress="deflate") as raster:
        raster.write(pixels)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "bad.tif").write_bytes(content[:200_000] + bytes(len(content) - 200_000))
    command = [sys.executable, str(HERE.parents[1] / "moody_server.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@pytest.mark.cluster
def test_a_web_server_that_fails_a_few_times(client, quick, server, tmp_path: Path) -> None:
    hrefs = {rule: f"{server}/{rule}/a.tif" for rule in ("2x503", "2xclose", "503", "404", "ok")}
    hrefs["bad"] = f"{server}/ok/bad.tif"
    failures, done, lines = run(client, tmp_path, fetch, hrefs)
    causes = {failure.key: failure.cause for failure in failures}
    assert set(done) == {"2x503", "2xclose", "ok"}
    assert set(causes) == {"503", "404", "bad"}
    assert causes["503"].endswith("a.tif: HTTP response code: 503")
    assert causes["404"].endswith("a.tif: HTTP response code: 404")
    assert "bad.tif: " in causes["bad"]
    tries = {line["unit"]: line.get("tries", 1) for line in lines if "unit" in line}
    assert (tries["503"], tries["404"], tries["bad"], tries["ok"]) == (4, 1, 1, 1)
    assert tries["2x503"] > 1


# --- measures -------------------------------------------------------------------------------------


@pytest.mark.cluster
def test_units_are_measured(client, tmp_path: Path) -> None:
    _failures, done, lines = run(client, tmp_path, work, {"a": str(tmp_path / "a")})
    assert done == {"a": 5_000_000}
    line = lines[-1]
    assert 5_000_000 <= line["written"] < 7_000_000
    assert 5_000_000 <= line["read"] < 7_000_000
    assert line["peak"] > 80_000_000
    assert 0 < line["cpu"] <= line["seconds"] + 0.5 < 20
    assert line["worker"].startswith("tcp://")


def test_the_peak_begins_anew_with_each_unit() -> None:
    with measuring("") as large:
        np.ones(200_000_000, np.uint8)
    with measuring("") as small:
        np.ones(1_000_000, np.uint8)
    assert large.peak - small.peak > 150_000_000


def test_without_proc_the_peak_is_that_of_the_process(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jobs.runner.measure.CLEAR_REFS", tmp_path / "no" / "a")
    monkeypatch.setattr("jobs.runner.measure.STATUS", tmp_path / "no" / "b")
    with measuring("w") as found:
        pass
    assert 10_000_000 < found.peak < 10**11
    assert found.worker == "w"


def test_a_call_without_dask_is_measured_too(tmp_path: Path) -> None:
    answer = call(work, str(tmp_path / "a"))
    assert (answer.value, answer.cause, answer.may_pass) == (5_000_000, None, False)
    assert isinstance(answer.measures, Measures)
    assert answer.measures.seconds > 0


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "unit", "key", "group"),
    [
        ("cube 31UES", "31UES-20190516T105031", "cube 31UES-20190516T105031-1f3c", "cube 31UES"),
        ("weights 31UES", "31UES-weights-0004", "weights 31UES-0004-1f3c", "weights 31UES"),
        ("wasp 31UES", "31UES-wasp-2019-05-3x4", "wasp 31UES-2019-05-3x4-1f3c", "wasp 31UES"),
        ("files 31UES", "31UES_2019-05_wasp_scl-red", "files 31UES-31UES_2019-05_wasp_scl-red-1f3c",
         "files 31UES"),
        ("cube my-cube", "my-cube-20190516", "cube my_cube-(my-cube-20190516)-1f3c", "cube my_cube"),
        ("stage", "a", "stage-(a)-1f3c", "stage"),
    ],
)  # fmt: skip
def test_the_dashboard_groups_tasks_by_stage(stage, unit, key, group) -> None:
    assert task_key(stage, unit, "1f3c") == key
    assert key_split(key) == group
    assert key_split(f"{key}-again-2") == group


# --- lost workers, lost schedulers ----------------------------------------------------------------


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A scheduler and a worker of one's own, as processes: address and the scheduler's process."""
    environment = os.environ | {
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2",
        "PYTHONPATH": str(HERE.parent),
    }
    found = tmp_path / "scheduler.json"
    options = {"env": environment, "stderr": subprocess.DEVNULL, "text": True}
    dask = [sys.executable, "-m", "dask"]
    file = ["--scheduler-file", str(found)]
    scheduler = subprocess.Popen(
        [*dask, "scheduler", *file, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"],
        **options,
    )
    worker = subprocess.Popen(
        [*dask, "worker", *file, "--nthreads", "1", "--memory-limit", "1GiB", "--no-dashboard"],
        **options,
    )
    for _ in range(300):
        if found.exists() and found.stat().st_size:
            break
        time.sleep(0.1)
    yield json.loads(found.read_text())["address"], scheduler
    scheduler.kill()  # its worker then waits for nothing
    worker.terminate()
    for process in (worker, scheduler):
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.cluster
def test_a_unit_that_kills_its_worker_three_times(own_cluster, tmp_path: Path) -> None:
    with Client(own_cluster[0], set_as_default=False) as client:
        client.wait_for_workers(1, timeout=30)
        failures, _done, lines = run(client, tmp_path, die, {"a": None})
    assert [failure.cause for failure in failures] == [
        "the worker was lost 3 times, most often for want of memory (limit 1.0 GiB); use fewer "
        "workers with more memory each, then run the same again"
    ]
    assert lines[-1]["cause"] == failures[0].cause


@pytest.mark.cluster
def test_what_workers_lack_is_told_and_leaves_them_alive(
    client, monkeypatch, tmp_path: Path
) -> None:
    (tmp_path / "of_the_driver.py").write_text("def double(number):\n    return 2 * number\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        double = importlib.import_module("of_the_driver").double
        failures, done, _lines = run(client, tmp_path, double, {"u": 1})
    cause = "No module named 'of_the_driver' on the worker; install what the driver has there, too"
    assert [(failure.key, failure.cause) for failure in failures] == [("u", cause)]
    assert done == {}
    failures, done, _lines = run(client, tmp_path, sleep, {"after": 0.0})
    assert failures == []
    assert set(done) == {"after"}


@pytest.mark.slow
@pytest.mark.cluster
def test_units_beside_one_that_kills_workers_are_done(own_cluster, tmp_path: Path) -> None:
    payloads = {f"u{number}": None if number == 1 else 0.1 for number in range(8)}
    with Client(own_cluster[0], set_as_default=False) as client:
        client.wait_for_workers(1, timeout=30)
        failures, done, _lines = run(client, tmp_path, die_or_sleep, payloads)
    assert [failure.key for failure in failures] == ["u1"]
    assert set(done) == set(payloads) - {"u1"}


@pytest.mark.cluster
def test_a_scheduler_that_is_killed_ends_the_run(own_cluster, tmp_path: Path) -> None:
    address, scheduler = own_cluster
    begun = 0.0

    def kill(_unit: Unit, _value: Any) -> None:
        nonlocal begun
        begun = time.monotonic()
        scheduler.kill()

    units = [Unit(f"u{number}", 1.0) for number in range(30)]
    with Client(address, set_as_default=False, timeout=10) as client:
        client.wait_for_workers(1, timeout=30)
        stage = Stage("s", units, sleep, kill)
        with pytest.raises(SchedulerError) as error, Ledger(tmp_path, "cube", {}) as ledger:
            run_stage(client, stage, "cube", ledger, Progress(quiet=True))
    assert time.monotonic() - begun < 30
    assert str(error.value) == (
        f"cube stopped: the dask scheduler at {address} was lost; what was finished is kept, "
        "start the scheduler and run the same again to go on"
    )
    events = [json.loads(line)["event"] for line in ledger.path.read_text().splitlines()]
    assert events == ["start", "stage", "done", "stopped"]
