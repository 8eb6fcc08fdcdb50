"""The cube store: what is committed is seen whole, what is not is not seen."""

import json
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from cube.errors import StoreError
from cube.grid import Extent
from cube.store import (
    Cube,
    DateEntry,
    Spec,
    StagedDate,
    commit_date,
    compact_cube,
    create_cube,
    open_cube,
    open_store,
    retire_dates,
    staging_directory,
)
from cube.variables import level_variables

EXTENT = Extent(32631, 574680, 5621800, 575320, 5622440)  # 64 x 64 at 10 m, 32 x 32 at 20 m
DAY = 86_400_000


def spec(extent: Extent = EXTENT, sharded: bool = True) -> Spec:
    return Spec(
        "31UES", "l2a", extent, {"r10m": 10, "r20m": 20}, level_variables("l2a"), 1, sharded
    )


def commit(
    path: Path, day: int, value: int, key: str = "", replaces: tuple[int, ...] = ()
) -> DateEntry:
    made = open_store(path).spec
    key = key or f"key{day}"
    staged = StagedDate(path, made, key)
    for variable in made.variables:
        shape = made.shape(variable.group)
        held = value if variable.dtype == "int16" else value % 251
        staged.write(variable, 0, 0, np.full(shape, held, variable.dtype))
    staged.close()
    entry = DateEntry(
        time=day * DAY,
        key=key,
        items=({"id": f"item{day}", "version": "1"},),
        variables=tuple(v.name for v in made.variables),
    )
    return commit_date(path, entry, replaces)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "31UES.zarr"
    create_cube(path, spec())
    return path


def test_an_empty_cube_opens_with_its_grid_and_crs(path: Path) -> None:
    dataset = open_cube(path)
    assert dict(dataset.sizes) == {"time": 0, "y": 64, "x": 64}
    assert dataset.odc.crs.epsg == 32631  # type: ignore[attr-defined]
    assert dataset.x.values[0] == 574685.0
    assert dataset.y.values[0] == 5622435.0
    assert open_cube(path, "r20m").x.values[0] == 574690.0


def test_committed_dates_come_back_in_order_of_time(path: Path) -> None:
    for day, value in ((20, 200), (10, 100), (15, 150)):
        commit(path, day, value)
    dataset = open_cube(path)
    assert dataset.time.values.astype("datetime64[D]").astype(int).tolist() == [10, 15, 20]
    assert dataset.blue[:, 5, 7].values.tolist() == [100, 150, 200]
    assert dataset.blue.dtype == np.int16
    assert [entry.slot for entry in open_store(path).valid_dates] == [1, 2, 0]


def test_plain_xarray_gives_reflectance_with_nan_and_the_stored_integers(path: Path) -> None:
    commit(path, 1, 1234)
    commit(path, 2, -10000)
    kwargs = {"group": "r10m", "consolidated": True, "chunks": {}, "decode_coords": "all"}
    dataset = xr.open_zarr(str(path), **kwargs)
    assert dataset.blue[0, 0, 0].values == pytest.approx(0.1234)
    assert np.isnan(dataset.blue[1]).all()
    assert "32631" in dataset.spatial_ref.attrs["crs_wkt"]
    assert "spatial_ref" in dataset.coords
    stored = xr.open_zarr(str(path), mask_and_scale=False, **kwargs)
    assert stored.blue[:, 0, 0].values.tolist() == [1234, -10000]
    assert stored.valid.values.tolist() == [True, True]


def test_a_reprocessed_date_takes_a_new_slot(path: Path) -> None:
    first = commit(path, 10, 100)
    commit(path, 11, 110)
    commit(path, 10, 999, key="again", replaces=(first.slot,))
    assert open_cube(path).blue[:, 0, 0].values.tolist() == [999, 110]
    plain = xr.open_zarr(str(path), group="r10m", mask_and_scale=False)
    assert plain.valid.values.tolist() == [False, True, True]
    assert plain.valid.dims == ("time",)
    assert "valid" in plain.coords


def test_committing_the_same_key_again_changes_nothing(path: Path) -> None:
    entry = commit(path, 10, 100)
    before = (path / "zarr.json").read_bytes()
    assert commit(path, 10, 555) == entry
    assert (path / "zarr.json").read_bytes() == before
    assert not staging_directory(path, "key10").exists()


def test_a_retired_date_is_gone_for_readers(path: Path) -> None:
    commit(path, 10, 100)
    kept = commit(path, 11, 110)
    retire_dates(path, [0])
    assert open_store(path).valid_dates == (kept,)
    assert open_cube(path).blue[:, 0, 0].values.tolist() == [110]


def test_variables_that_a_date_lacks_are_fill_values(path: Path) -> None:
    made = open_store(path).spec
    staged = StagedDate(path, made, "k")
    blue = made.variable("r10m", "blue")
    assert blue is not None
    staged.write(blue, 0, 0, np.full((64, 64), 7, np.int16))
    staged.close()
    commit_date(path, DateEntry(time=0, key="k", items=(), variables=("blue",)))
    dataset = open_cube(path)
    assert (dataset.blue == 7).all()
    assert (dataset.red == -10000).all()
    assert (open_cube(path, "r20m").scl == 0).all()


def test_a_block_is_read_as_stored_in_the_order_of_the_slots(path: Path) -> None:
    for day in range(4):
        commit(path, day, day + 1)
    block = open_store(path).read("r20m", "swir16", [3, 1], (slice(4, 10), slice(20, 32)))
    assert block.shape == (2, 6, 12)
    assert block.dtype == np.int16
    assert block[:, 0, 0].tolist() == [4, 2]


def test_of_dates_that_are_read_together_the_damaged_one_is_named(path: Path) -> None:
    for day in range(4):
        commit(path, day, day + 1)
    (file,) = (f for f in (path / "r20m" / "scl" / "c" / "2").rglob("*") if f.is_file())
    file.write_bytes(b"\0" * file.stat().st_size)
    window = (slice(0, 32), slice(0, 32))
    with pytest.raises(StoreError, match="cannot read scl of 1970-01-03 in"):
        open_store(path).read("r20m", "scl", [0, 1, 2, 3], window)
    assert open_store(path).read("r20m", "scl", [0, 1], window)[:, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("sharded", [True, False])
def test_a_cube_larger_than_a_chunk_round_trips(tmp_path: Path, sharded: bool) -> None:
    extent = Extent(32631, 574680, 5622440 - 7000, 574680 + 11280, 5622440)  # 700 x 1128 at 10 m
    path = tmp_path / "c.zarr"
    create_cube(path, spec(extent, sharded))
    made = open_store(path).spec
    assert made.chunk("r10m") == 512
    assert made.shard("r10m") == (1536 if sharded else 512)
    staged = StagedDate(path, made, "k")
    blue = made.variable("r10m", "blue")
    assert blue is not None
    pixels = np.arange(700 * 1128, dtype=np.int64).reshape(700, 1128) % 30000
    staged.write(blue, 0, 0, pixels.astype(np.int16))
    staged.close()
    commit_date(path, DateEntry(time=0, key="k", items=(), variables=("blue",)))
    assert (open_cube(path).blue[0].values == pixels).all()


def test_compaction_orders_the_slots_and_drops_what_was_replaced(path: Path) -> None:
    commit(path, 20, 200)
    old = commit(path, 10, 100)
    commit(path, 10, 101, key="new", replaces=(old.slot,))
    target = path.with_name("31UES.g2.zarr")
    compact = compact_cube(path, target)
    assert compact.spec.generation == 2
    assert [(d.slot, d.time // DAY, d.key) for d in compact.dates] == [
        (0, 10, "new"),
        (1, 20, "key20"),
    ]
    assert open_cube(target).blue[:, 0, 0].values.tolist() == [101, 200]
    assert open_cube(target, "r20m").scl[:, 0, 0].values.tolist() == [101, 200]


def test_what_is_no_cube_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(StoreError, match="no cube at"):
        open_store(tmp_path / "none.zarr")
    with pytest.raises(StoreError, match="already a cube"):
        create_cube(path, spec())
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["clearcube"]["format"] = 99
    (path / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(StoreError, match="newer clearcube"):
        open_store(path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match="not a cube"):
        open_store(path)


def test_debris_of_a_commit_cut_short_is_never_seen(path: Path) -> None:
    commit(path, 1, 10)
    # As if a driver had died between moving the pixels and replacing the root.
    for debris in (path / "r10m" / "blue" / "c" / "1", path / "r10m" / "red" / "c" / "1"):
        shutil.copytree(path / "r10m" / "blue" / "c" / "0", debris)
    assert open_cube(path).sizes["time"] == 1
    made = open_store(path).spec
    staged = StagedDate(path, made, "k")
    blue = made.variable("r10m", "blue")
    assert blue is not None
    staged.write(blue, 0, 0, np.full((64, 64), 7, np.int16))
    staged.close()
    commit_date(path, DateEntry(time=2 * DAY, key="k", items=(), variables=("blue",)))
    dataset = open_cube(path)
    assert dataset.blue[:, 0, 0].values.tolist() == [10, 7]
    assert dataset.red[:, 0, 0].values.tolist() == [10, -10000]


def test_two_units_with_the_same_date_do_not_disturb_each_other(path: Path) -> None:
    made = open_store(path).spec
    blue = made.variable("r10m", "blue")
    assert blue is not None
    entry = DateEntry(time=DAY, key="k", items=(), variables=("blue",))
    pixels = np.full((64, 64), 7, np.int16)
    # The first was given up for lost, and goes on while the other one is made and committed.
    lost, other = StagedDate(path, made, "k"), StagedDate(path, made, "k")
    lost.write(blue, 0, 0, pixels)
    other.write(blue, 0, 0, pixels)
    with pytest.raises(StoreError, match="nothing of date k is staged"):
        commit_date(path, entry)
    other.close()
    lost.close()
    StagedDate(path, made, "another").discard()
    commit_date(path, entry)
    assert open_cube(path).blue[:, 0, 0].values.tolist() == [7]
    assert open_store(path).dates[0].checksums["blue"]
    assert not list(path.with_name(f"{path.name}.stage").iterdir())


WRITER = """
    import importlib.util, os, signal, sys, traceback
    from pathlib import Path
    import cube.files as files
    import cube.store as store
    spec = importlib.util.spec_from_file_location("made", sys.argv[1])
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    calls = 0
    def dying(name, at):
        real = getattr(store, name, None) or getattr(files, name)
        def call(*args, **kwargs):
            global calls
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        for module in (store, files):
            if hasattr(module, name):
                setattr(module, name, call)
    steps = ("_move_pixels", "_write_coordinate", "write_bytes", "write_json", "sync_directory")
    for line in sys.stdin:
        at, path = line.rstrip().split(" ", 1)
        process = os.fork()
        if process == 0:
            try:
                for name in steps:
                    dying(name, int(at))
                made.commit(Path(path), 2, 20)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def killed_at() -> Iterator[Callable[[int, Path], int]]:
    """Commit a second date in a process that dies at a step of it -> how that ended.

    One program imports everything, and forks for each.
    """
    command = [sys.executable, "-c", textwrap.dedent(WRITER), __file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        stdin, stdout = program.stdin, program.stdout

        def killed_at(at: int, path: Path) -> int:
            print(at, path, file=stdin, flush=True)
            return int(stdout.readline())

        yield killed_at
        stdin.close()


def test_checksums_are_of_pixels_and_know_their_chunks(tmp_path: Path) -> None:
    wide = Extent(32631, 574680, 5621800, 574680 + 6000, 5621800 + 5200)  # 2 x 2 chunks
    path = tmp_path / "wide.zarr"
    create_cube(path, spec(wide))
    first, second, third = commit(path, 1, 10), commit(path, 2, 10, "other"), commit(path, 3, 11)
    assert first.checksums == second.checksums
    assert set(first.checksums) == {v.name for v in spec().variables}
    assert not set(first.checksums.values()) & set(third.checksums.values())
    cube = open_store(path)
    names = [v.name for v in cube.spec.variables]
    found = cube.checksums(0)
    assert found is not None
    assert found.shape == (len(names), 2, 2)
    blue = found[names.index("blue")]
    # 512 and 88 columns, 512 and 8 rows at 10 m: four shapes of 10s; 256, 44, 256, 4 at 20 m.
    assert len(set(blue.ravel().tolist())) == 4
    staged = StagedDate(path, cube.spec, "hole")
    variable = cube.spec.variable("r10m", "blue")
    assert variable is not None
    pixels = np.full(cube.spec.shape("r10m"), -10000, np.int16)
    pixels[519, 599] = 5
    staged.write(variable, 0, 0, pixels)
    staged.close()
    commit_date(path, DateEntry(time=4 * DAY, key="hole", items=(), variables=("blue",)))
    cube = open_store(path)
    held = cube.checksums(3)
    assert held is not None
    # Only the last chunk holds anything but fill values; variables not written hold none.
    assert (held != 0).sum() == 1
    assert held[names.index("blue"), 1, 1] != 0
    assert set(cube.dates[3].checksums) == {"blue"}
    assert cube.checksums(9) is None
    compact_cube(path, tmp_path / "wide.g2.zarr")
    again = open_store(tmp_path / "wide.g2.zarr")
    assert [d.checksums for d in again.dates] == [d.checksums for d in cube.dates]
    assert np.array_equal(again.checksums(3), held)


def test_a_copy_without_checksums_of_chunks_makes_up_none(path: Path, tmp_path: Path) -> None:
    entry = commit(path, 1, 10)
    shutil.rmtree(path.with_name(f"{path.name}.sums"))
    compact_cube(path, tmp_path / "31UES.g2.zarr")
    copy = open_store(tmp_path / "31UES.g2.zarr")
    assert copy.checksums(0) is None
    assert copy.dates[0].checksums == entry.checksums


@pytest.mark.parametrize("at", range(1, 40, 3))
def test_a_writer_killed_at_any_point_leaves_a_whole_cube(
    killed_at: Callable[[int, Path], int], path: Path, at: int
) -> None:
    commit(path, 1, 10)
    assert killed_at(at, path) in (0, -signal.SIGKILL)
    seen = open_cube(path)
    assert seen.blue[:, 0, 0].values.tolist() in ([10], [10, 20])
    for group in ("r10m", "r20m"):
        dataset = open_cube(path, group)
        assert dataset.sizes["time"] == seen.sizes["time"]
        for name in dataset.data_vars:
            assert dataset[name][:, 0, 0].values.tolist() == [10, 20][: seen.sizes["time"]]
    # The next run goes on from there.
    commit(path, 2, 20)
    commit(path, 3, 30)
    assert open_cube(path).blue[:, 0, 0].values.tolist() == [10, 20, 30]
    assert open_cube(path, "r20m").scl[:, 0, 0].values.tolist() == [10, 20, 30]


def test_writers_at_once_lose_nothing_and_a_reader_sees_only_whole_states(path: Path) -> None:
    script = textwrap.dedent(
        """
        import importlib.util, sys
        from pathlib import Path
        spec = importlib.util.spec_from_file_location("made", sys.argv[1])
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        for day in range(int(sys.argv[3]), int(sys.argv[3]) + 4):
            made.commit(Path(sys.argv[2]), day, day)
        """
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, __file__, str(path), str(first)])
        for first in (10, 20)
    ]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        snapshot: Cube = open_store(path)
        slots = [entry.slot for entry in snapshot.dates]
        if slots:
            pixels = snapshot.read("r10m", "nir", slots, (slice(0, 1), slice(0, 1)))[:, 0, 0]
            assert pixels.tolist() == [entry.time // DAY for entry in snapshot.dates]
        reads += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert reads > 0
    days = open_cube(path).time.values.astype("datetime64[D]").astype(int).tolist()
    assert days == [10, 11, 12, 13, 20, 21, 22, 23]


def test_a_store_that_cannot_be_written_says_so_and_stays_as_it_was(path: Path) -> None:
    commit(path, 1, 10)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    made = open_store(path).spec
    StagedDate(path, made, "full").close()
    # No file may grow beyond a kilobyte: what a full disk does to a writer.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot write .*: File too large"):
            commit_date(path, DateEntry(time=0, key="full", items=(), variables=()))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert open_cube(path).blue[:, 0, 0].values.tolist() == [10]
    commit(path, 2, 20)
    assert open_cube(path).blue[:, 0, 0].values.tolist() == [10, 20]
