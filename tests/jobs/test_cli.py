"""The command as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cube.store import open_store
from jobs import cli
from jobs.simulate.season import SMALL_SEASON, write_season


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("season")
    write_season(folder, SMALL_SEASON)
    return folder / "products"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli") / "w"


class Command:
    """Calls the command in this process and keeps what it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["clearcube", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = self.capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("value", "said", "contradicts"),
    [
        (33, ["bit 0 (value 1)", "bit 5 (value 32)"], False),
        (25, ["bit 0 (value 1)", "bit 3 (value 8)", "bit 4 (value 16)"], True),
        (74, ["bit 1 (value 2)", "bit 3 (value 8)", "bit 6 (value 64)"], True),
    ],
)
def test_explain_mask(command: Command, value: int, said: list[str], contradicts: bool) -> None:
    status, out, err = command("explain-mask", "clm", value)
    assert (status, err) == (0, "")
    for text in said:
        assert text in out
    assert out.count("bit ") - 2 * out.count("contradiction") >= len(said)
    assert ("contradict" in out) == contradicts


def test_explain_mask_refuses_what_no_byte_holds(command: Command) -> None:
    status, out, err = command("explain-mask", "clm", 256)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "256" in err


def test_help_lists_the_commands_and_imports_little() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "jobs.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in ("ingest", "search", "run", "explain-mask", "demo"):
        assert name in done.stdout
    # A first sentence that ends where it should, not at an abbreviation.
    assert "Say what a mask value means, bit by bit, such as `clm 33`.\n" in done.stdout
    # Heavy libraries are imported by the commands that need them.
    for heavy in ("xarray", "numba", "distributed", "rasterio", "pystac_client"):
        assert f" {heavy}\n" not in done.stderr


def test_run_help_lists_parameters_with_their_defaults(command: Command) -> None:
    status, out, _ = command("run", "synthesis", "--help")
    assert status == 0
    for text in (
        "--tile",
        "--datetime",
        "--mask",
        "half_window, days: Days on either side",
        "date_weight_min=0.5",
        "median",
    ):
        assert text in out
    _, out, _ = command("run", "decode-masks", "--help")
    assert "unclassified=" in out
    _, out, _ = command("run", "--help")
    for job in ("cube", "decode-masks", "synthesis"):
        assert job in out


@pytest.mark.cluster
def test_from_products_to_a_synthesis(
    command: Command, products: Path, space: Path, scheduler: str
) -> None:
    status, out, err = command("--workspace", space, "ingest", products)
    assert (status, out) == (0, "6 items indexed, 0 were current\n")
    assert "superseded by" in err
    status, out, _ = command("--workspace", space, "ingest", products, "--json")
    assert json.loads(out)["made"] == []
    status, out, err = command(
        "--workspace", space, "run", "synthesis", "--tile", "T31TCJ", "--datetime", "2020-05",
        "--mask", "scl", "--set", "half_window=11", "--set", "scl.buffer=40", "--name", "short",
    )  # fmt: skip
    assert (status, out) == (0, "31TCJ_2020-05_wasp_scl_short\n")
    status, out, _ = command(
        "--workspace", space, "search", "--collection", "synthesis-wasp", "--json"
    )
    found = json.loads(out)
    assert found["type"] == "FeatureCollection"
    (item,) = found["features"]
    assert item["properties"]["clearcube:parameters"]["half_window"] == 11
    assert item["properties"]["clearcube:parameters"]["mask_parameters"]["buffer"] == 40
    assert all(Path(asset["href"]).is_absolute() for asset in item["assets"].values())
    status, out, _ = command(
        "--workspace", space, "run", "synthesis", "--tile", "31TCJ", "--datetime", "2020-05",
        "--mask", "scl", "--set", "half_window=11", "--set", "scl.buffer=40", "--name", "short",
    )  # fmt: skip
    assert (status, out) == (0, "nothing to make: 1 current\n")


@pytest.mark.cluster
def test_an_area_finds_its_tiles(
    command: Command, products: Path, space: Path, scheduler: str, tmp_path: Path
) -> None:
    command("--workspace", space, "ingest", products)
    for option, area in (
        ("--bbox", "1.0,43.7,1.1,43.9"),
        ("--aoi", "POLYGON ((1.0 43.7, 1.1 43.7, 1.1 43.9, 1.0 43.9, 1.0 43.7))"),
    ):
        status, out, err = command("--workspace", space, "run", "cube", option, area, "--json")
        assert status == 0, err
        document = json.loads(out)
        assert len(document["made"]) + len(document["current"]) == 4
    status, _, err = command("--workspace", space, "run", "cube", "--bbox", "10,50,11,51")
    assert status == 2
    assert "no scene is catalogued in 10,50,11,51" in err


@pytest.mark.cluster
def test_search_shows_a_line_an_item_latest_first(
    command: Command, products: Path, space: Path
) -> None:
    command("--workspace", space, "ingest", products)
    status, out, _ = command(
        "--workspace", space, "search", "--collection", "sentinel-2-l2a", "--limit", 2
    )
    first, second = out.splitlines()
    assert status == 0
    assert first.split()[0] == "sentinel-2-l2a"
    assert first.split()[2] > second.split()[2]


@pytest.mark.cluster
def test_a_killed_run_is_taken_up_where_it_stopped(
    products: Path, tmp_path: Path, cluster_address: str
) -> None:
    space = tmp_path / "w"
    environment = {
        **os.environ,
        "CLEARCUBE_SCHEDULER": cluster_address,
        "CLEARCUBE_WORKSPACE": str(space),
    }
    entry = [sys.executable, "-m", "jobs.cli"]
    subprocess.run(
        [*entry, "ingest", str(products)], env=environment, check=True, capture_output=True
    )
    run = [*entry, "run", "cube", "--tile", "31TCJ", "--level", "l2a"]
    store = space / "cubes" / "31TCJ.zarr"
    victim = subprocess.Popen(
        run, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and victim.poll() is None:
        if store.is_dir() and open_store(store).dates:
            victim.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    assert victim.wait() in (-signal.SIGKILL, 0)
    kept = open_store(store).valid_dates
    assert kept
    done = subprocess.run(run, env=environment, check=True, capture_output=True, text=True)
    assert len(done.stdout.split()) == 4 - len(kept) or "nothing to make" in done.stdout
    whole = open_store(store)
    assert len(whole.valid_dates) == 4
    # What was committed before is as it was: nothing is made twice.
    assert whole.dates[: len(kept)] == tuple(sorted(kept, key=lambda entry: entry.slot))
