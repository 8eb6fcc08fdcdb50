"""Series of a cube read block by block, and the masks found in them as one more variable of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from cube.checksums import FILL
from cube.classes import CLEAR, CLOUD
from cube.decoding import MaskReading, read_classes, variables_read
from cube.detection import days_of, detect_block, require_grid
from cube.detectors import detector
from cube.errors import GridError, StoreError
from cube.grid import Extent, blocks
from cube.joined import GROUP, MASK, JoinedCube, open_masked
from cube.kernels.halving import halve
from cube.reading import read_band
from cube.store import (
    Cube,
    DateEntry,
    Spec,
    StagedDate,
    commit_date,
    commit_dates,
    create_cube,
    open_store,
    staging_directory,
)
from cube.variables import Variable, level_variables

DATES, ROWS, COLUMNS = 14, 130, 110
"""More pixels at 20 m than a block of 100 in one direction, and more than 64 in both."""

EXTENT = Extent(32631, 574680, 5622440 - 20 * ROWS, 574680 + 20 * COLUMNS, 5622440)
WHOLE = (slice(0, ROWS), slice(0, COLUMNS))
BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22")


def staged(path: Path, key: str, arrays: dict[str, Any]) -> None:
    date = StagedDate(path, open_store(path).spec, key)
    for variable in date._spec.variables:
        if variable.name in arrays:
            date.write(variable, 0, 0, arrays[variable.name])
    date.close()


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Cube:
    """Ground that varies by a tenth, clouds and shadows of many sizes, gaps; SCL sees half of it."""
    path = tmp_path_factory.mktemp("cube") / "31UES.zarr"
    held = [v for v in level_variables("l2a") if v.name in (*BANDS, "scl")]
    create_cube(path, Spec("31UES", "l2a", EXTENT, {"r10m": 10, "r20m": 20}, tuple(held)))
    rng = np.random.default_rng(5)
    ground = {name: rng.integers(700, 900, (2 * ROWS, 2 * COLUMNS)) for name in BANDS}
    for day in range(DATES):
        sky = rng.choice([0, 0, 0, 1, 2], (ROWS // 13 + 1, COLUMNS // 11))
        sky = sky.repeat(13, 0).repeat(11, 1)[:ROWS, :COLUMNS]
        gap = rng.random((ROWS, COLUMNS)) < 0.02
        arrays: dict[str, Any] = {"scl": np.where(sky == 1, 9, 4).astype("uint8")}
        for name in BANDS:
            variable = next(v for v in held if v.name == name)
            fine = variable.group == "r10m"
            here = sky.repeat(2, 0).repeat(2, 1) if fine else sky
            none = gap.repeat(2, 0).repeat(2, 1) if fine else gap
            seen = ground[name] if fine else ground[name][::2, ::2]
            seen = np.choose(here, [seen, seen + 4000, seen // 3]) + rng.integers(-40, 40)
            arrays[name] = np.where(none, -10000, seen).astype("int16")
        staged(path, f"key{day}", arrays)
        entry = DateEntry(day * 10 * 86_400_000, f"key{day}", (), tuple(arrays))
        commit_date(path, entry)
    return open_store(path)


def test_a_finer_band_is_the_mean_of_four_and_nodata_where_one_is(cube: Cube) -> None:
    slots = list(range(DATES))
    fine = cube.read("r10m", "blue", slots, (slice(20, 40), slice(60, 80))).astype(float)
    four = np.where(fine == -10000, np.nan, fine).reshape(DATES, 10, 2, 10, 2)
    mean = four.mean(axis=(2, 4))
    found = read_band(cube, GROUP, "blue", slots, (slice(10, 20), slice(30, 40)))
    assert found.dtype == np.int16
    assert np.array_equal(found, np.where(np.isnan(mean), -10000, np.rint(mean)))
    assert (found == -10000).any()
    stored = read_band(cube, GROUP, "swir16", slots, (slice(10, 20), slice(30, 40)))
    assert np.array_equal(stored, cube.read(GROUP, "swir16", slots, (slice(10, 20), slice(30, 40))))


def test_means_are_rounded_as_numpy_rounds() -> None:
    rng = np.random.default_rng(2)
    fine = rng.integers(-32768, 32768, (3, 40, 60)).astype(np.int16)
    fine[rng.random(fine.shape) < 0.05] = -10000
    four = fine.reshape(3, 20, 2, 30, 2).astype(float)
    expected = np.rint(four.mean(axis=(2, 4)))
    expected[(four == -10000).any(axis=(2, 4))] = -10000
    out = np.empty((3, 20, 30), np.int16)
    halve(fine, -10000, out)
    assert np.array_equal(out, expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [("tsmask", {"filter": "5x5", "buffer": 60}), ("combined", {}), ("tsmask", {"compat": "2021"})],
)
def test_blocks_of_any_size_are_the_whole(cube: Cube, name: str, options: dict[str, Any]) -> None:
    method = detector(name)
    params = method.params.model_validate(options)
    wanted = [0, 3, 4, 13]
    (block,) = blocks((ROWS, COLUMNS), 1000)
    whole = detect_block(cube, cube.valid_dates, wanted, block, method, params)
    assert whole.shape == (4, ROWS, COLUMNS)
    assert whole.dtype == np.uint8
    assert np.count_nonzero(whole == CLOUD) > 1000 < np.count_nonzero(whole == CLEAR)
    for side in (64, 100):
        made = np.empty_like(whole)
        for part in blocks((ROWS, COLUMNS), side):
            made[(slice(None), *part.window(1))] = detect_block(
                cube, cube.valid_dates, wanted, part, method, params
            )
        assert np.array_equal(made, whole)


def test_days_are_counted_in_utc() -> None:
    entries = [DateEntry(time, "", (), ()) for time in (0, 86_399_999, 86_400_000)]
    assert days_of(entries).tolist() == [0, 0, 1]


def test_a_cube_without_20_m_is_refused() -> None:
    spec = Spec("31UES", "l2a", EXTENT, {"r10m": 10}, level_variables("l2a", 10))
    with pytest.raises(GridError, match="tsmask works at 20 m and the l2a cube of 31UES holds 10"):
        require_grid(spec, "tsmask")


# --- a store of masks -----------------------------------------------------------------------------


def classes(code: int) -> np.ndarray[Any, Any]:
    plane = np.full((ROWS, COLUMNS), code, "uint8")
    plane[:4] = CLOUD
    return plane


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    path = tmp_path / "31UES_tsmask.zarr"
    variable = Variable(MASK, "", "classes", 20, GROUP, "uint8", 0, None, "classes by tsmask")
    create_cube(path, Spec("31UES", "tsmask", EXTENT, {GROUP: 20}, (variable,)))
    return path


def entry(day: int, code: int) -> DateEntry:
    return DateEntry(day * 10 * 86_400_000, f"{day}-{code}", (), (MASK,))


def put(path: Path, days: dict[int, int], replaces: tuple[int, ...] = ()) -> list[DateEntry]:
    for day, code in days.items():
        staged(path, f"{day}-{code}", {MASK: classes(code)})
    return commit_dates(path, [entry(day, code) for day, code in days.items()], replaces)


def test_dates_are_committed_together_and_what_is_held_stays(masks: Path) -> None:
    assert [made.slot for made in put(masks, {1: CLEAR, 2: 5})] == [0, 1]
    before = (masks / "zarr.json").stat().st_mtime_ns
    assert [made.slot for made in put(masks, {1: CLEAR, 2: 5})] == [0, 1]
    assert (masks / "zarr.json").stat().st_mtime_ns == before
    assert not staging_directory(masks, "1-1").exists()
    # One that is not staged: none is committed.
    staged(masks, "3-1", {MASK: classes(1)})
    with pytest.raises(StoreError, match="nothing of date 4-1 is staged"):
        commit_dates(masks, [entry(3, 1), entry(4, 1)])
    assert [made.key for made in open_store(masks).dates] == ["1-1", "2-5"]
    assert [made.slot for made in put(masks, {1: 6}, replaces=(0,))] == [2]
    assert [made.key for made in open_store(masks).valid_dates] == ["1-6", "2-5"]


def test_other_tools_read_what_the_classes_mean(masks: Path) -> None:
    put(masks, {1: CLEAR})
    held = xr.open_zarr(masks, group=GROUP, decode_coords="all").mask
    assert held.dtype == np.uint8
    assert held.attrs["flag_values"] == [0, 1, 2, 3, 4, 5, 6]
    assert held.attrs["flag_meanings"].split()[3] == "cloud_shadow"
    assert held[0, :6, 0].values.tolist() == [2, 2, 2, 2, 1, 1]


def test_masks_are_one_more_variable_of_the_cube(cube: Cube, masks: Path) -> None:
    put(masks, {3: 5, 1: CLEAR})
    reading = MaskReading("tsmask", store=str(masks), slots={1: 1, 3: 0})
    joined = open_masked(cube.path, reading)
    one, two = joined.dates[1], joined.dates[2]
    assert variables_read(joined.spec, one, "tsmask") == ("tsmask",)
    assert one.checksums["tsmask"] == open_store(masks).dates[1].checksums[MASK]
    assert "tsmask" not in two.variables
    # At both resolutions, in the order asked for; a date without is no_observation.
    window = (slice(2, 6), slice(0, 2))
    found = read_classes(joined, [joined.dates[3], one, two], reading, GROUP, window)
    assert found[:, :, 0].tolist() == [[2, 2, 5, 5], [2, 2, 1, 1], [0, 0, 0, 0]]
    fine = (slice(7, 9), slice(0, 2))
    assert read_classes(joined, [one], reading, "r10m", fine)[0, :, 0].tolist() == [2, 1]
    buffered = MaskReading("tsmask", buffer=20, store=str(masks), slots=reading.slots)
    assert read_classes(joined, [one], buffered, GROUP, window)[0, :, 0].tolist() == [2, 2, 2, 1]
    assert np.array_equal(
        joined.read("r10m", "red", [1], (slice(0, 9), slice(0, 9))),
        cube.read("r10m", "red", [1], (slice(0, 9), slice(0, 9))),
    )
    with pytest.raises(StoreError, match="holds no tsmask of 1970-01-21; make it first"):
        joined.read(GROUP, "tsmask", [2], WHOLE)


def test_checksums_of_chunks_are_those_of_both_stores(cube: Cube, masks: Path) -> None:
    put(masks, {1: CLEAR})
    joined = JoinedCube(cube, open_store(masks), "tsmask", {1: 0})
    own, beside = cube.checksums(1), open_store(masks).checksums(0)
    found = joined.checksums(1)
    assert own is not None
    assert beside is not None
    assert found is not None
    assert np.array_equal(found, np.concatenate([own, beside]))
    assert joined.spec.variables[-1].name == "tsmask"
    without = joined.checksums(2)
    assert without is not None
    assert (without[-1] == FILL).all()


def test_without_a_store_the_cube_is_as_it_is(cube: Cube) -> None:
    assert type(open_masked(cube.path, MaskReading("scl"))) is Cube
