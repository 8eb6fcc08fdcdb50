"""Classes of the dates of a small cube: each encoding, both groups, any window, missing masks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube import decoding
from cube.classes import (
    CLEAR,
    CLOUD,
    CLOUD_SHADOW,
    NO_OBSERVATION,
    SNOW,
    THIN_CLOUD,
    WATER,
)
from cube.decoding import (
    MaskReading,
    Window,
    count_contradictions,
    has_mask,
    mask_group,
    read_classes,
)
from cube.errors import BandError, MaskError
from cube.grid import Extent
from cube.masks import decode, dilate, to_10m, to_20m
from cube.store import Cube, DateEntry, Spec, StagedDate, commit_date, create_cube, open_store
from cube.variables import level_variables

Array = npt.NDArray[Any]
EXTENT = Extent(32631, 574680, 5622000, 575160, 5622440)  # 44 x 48 at 10 m, 22 x 24 at 20 m
TEN, TWENTY = (44, 48), (22, 24)
WHOLE = {"r10m": (slice(0, 44), slice(0, 48)), "r20m": (slice(0, 22), slice(0, 24))}
SCL_CLASSES = {4: CLEAR, 9: CLOUD, 3: CLOUD_SHADOW, 10: THIN_CLOUD, 11: SNOW, 6: WATER, 0: 0}


def cube_of(path: Path, level: str, *dates: Mapping[str, Array]) -> Cube:
    """A store of some dates; each holds the rasters given, as (y, x), by ``group/name``."""
    create_cube(
        path,
        Spec("31UES", level, EXTENT, {"r10m": 10, "r20m": 20}, level_variables(level), 1, True),
    )
    for day, rasters in enumerate(dates):
        spec = open_store(path).spec
        staged = StagedDate(path, spec, f"key{day}")
        for place, pixels in rasters.items():
            variable = spec.variable(*place.split("/"))
            assert variable is not None
            staged.write(variable, 0, 0, pixels.astype(variable.dtype))
        staged.close()
        names = tuple(sorted({place.split("/")[1] for place in rasters}))
        commit_date(
            path, DateEntry(time=day * 86_400_000, key=f"key{day}", items=(), variables=names)
        )
    return open_store(path)


def patches(shape: tuple[int, int], codes: list[int], seed: int = 0, side: int = 3) -> Array:
    """(y, x) of small squares, each of one code."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(codes, (shape[0] // side + 1, shape[1] // side + 1))
    return coarse.repeat(side, 0).repeat(side, 1)[: shape[0], : shape[1]].astype("uint8")


def seen(shape: tuple[int, int], unseen_columns: int = 0) -> Array:
    pixels = np.full(shape, 1000, "int16")
    pixels[:, :unseen_columns] = -10000
    return pixels


@pytest.fixture(scope="module")
def scl(tmp_path_factory: pytest.TempPathFactory) -> Cube:
    path = tmp_path_factory.mktemp("scl") / "c.zarr"
    codes = list(SCL_CLASSES)
    weights = [4] * 12 + codes
    return cube_of(
        path,
        "l2a",
        {"r20m/scl": patches(TWENTY, weights), "r10m/red": seen(TEN)},
        {"r10m/red": seen(TEN)},
        {"r20m/scl": patches(TWENTY, weights, 1), "r10m/red": seen(TEN)},
    )


@pytest.fixture(scope="module")
def maja(tmp_path_factory: pytest.TempPathFactory) -> Cube:
    path = tmp_path_factory.mktemp("maja") / "c.zarr"
    clm = patches(TEN, [0] * 12 + [3, 33, 65, 16])
    mg2 = patches(TEN, [0, 0, 0, 1, 4], 1, 5)
    edg = np.zeros(TEN, "uint8")
    edg[:, :5] = 1
    return cube_of(
        path,
        "maja",
        {"r10m/clm": clm, "r10m/mg2": mg2, "r10m/edg": edg, "r10m/red": seen(TEN)},
        {"r10m/clm": clm, "r10m/mg2": mg2, "r10m/red": seen(TEN, 7), "r10m/nir": seen(TEN, 6)},
        {"r10m/red": seen(TEN)},
    )


@pytest.fixture(scope="module")
def classi(tmp_path_factory: pytest.TempPathFactory) -> Cube:
    path = tmp_path_factory.mktemp("classi") / "c.zarr"
    codes = patches(TWENTY, [0, 0, 0, 1, 2, 4])
    return cube_of(
        path, "l1c", {"r20m/classi": codes, "r20m/swir16": seen(TWENTY, 4), "r10m/red": seen(TEN)}
    )


def stored(cube: Cube, slot: int, group: str, *names: str) -> dict[str, Array]:
    return {name: cube.read(group, name, [slot], WHOLE[group])[0] for name in names}


# --- each encoding --------------------------------------------------------------------------------


def test_scl_is_decoded_by_its_table(scl: Cube) -> None:
    found = read_classes(scl, scl.valid_dates, MaskReading("scl"), "r20m", WHOLE["r20m"])
    assert found.shape == (3, *TWENTY)
    assert found.dtype == np.uint8
    for slot in (0, 2):
        codes = stored(scl, slot, "r20m", "scl")["scl"]
        for code, expected in SCL_CLASSES.items():
            assert (found[slot][codes == code] == expected).all()
    assert set(np.unique(found[0])) == {0, 1, 2, 3, 4, 5, 6}


def test_a_date_without_its_mask_was_not_observed(scl: Cube) -> None:
    assert [has_mask(entry, "scl") for entry in scl.valid_dates] == [True, False, True]
    found = read_classes(scl, scl.valid_dates, MaskReading("scl"), "r10m", WHOLE["r10m"])
    assert (found[1] == NO_OBSERVATION).all()
    assert (found[0] != NO_OBSERVATION).any()


def test_the_dates_asked_for_come_in_their_order(scl: Cube) -> None:
    dates = scl.valid_dates
    found = read_classes(scl, [dates[2], dates[0]], MaskReading("scl"), "r20m", WHOLE["r20m"])
    whole = read_classes(scl, dates, MaskReading("scl"), "r20m", WHOLE["r20m"])
    np.testing.assert_array_equal(found, whole[[2, 0]])
    none = read_classes(scl, [], MaskReading("scl"), "r10m", (slice(3, 8), slice(0, 5)))
    assert none.shape == (0, 5, 5)


@pytest.mark.parametrize(("at_once", "rasters"), [(2 * 44 * 48, 3), (2 * 44 * 48 - 1, 6)])
def test_dates_with_the_same_rasters_are_read_together_and_decoded_as_each_alone(
    maja: Cube, monkeypatch: pytest.MonkeyPatch, at_once: int, rasters: int
) -> None:
    first, _second, without = maja.valid_dates
    reading = MaskReading("clm", buffer=25)
    (one,) = read_classes(maja, [first], reading, "r20m", WHOLE["r20m"])
    asked: list[str] = []
    read = Cube.read

    def counted(cube: Cube, group: str, name: str, slots: list[int], window: Window) -> Array:
        asked.append(name)
        return read(cube, group, name, slots, window)

    monkeypatch.setattr(decoding, "AT_ONCE", at_once)
    monkeypatch.setattr(Cube, "read", counted)
    found = read_classes(maja, [first, first, without], reading, "r20m", WHOLE["r20m"])
    np.testing.assert_array_equal(found, np.stack([one, one, np.zeros_like(one)]))
    assert (one == CLOUD).any()
    assert len(asked) == rasters


def test_at_10_m_each_pixel_of_20_m_is_four(scl: Cube) -> None:
    fine = read_classes(scl, scl.valid_dates, MaskReading("scl"), "r10m", WHOLE["r10m"])
    coarse = read_classes(scl, scl.valid_dates, MaskReading("scl"), "r20m", WHOLE["r20m"])
    np.testing.assert_array_equal(fine, coarse.repeat(2, 1).repeat(2, 2))
    np.testing.assert_array_equal(fine, to_10m(coarse))


def test_clm_is_read_with_its_companions(maja: Cube) -> None:
    entry = maja.valid_dates[0]
    (found,) = read_classes(maja, [entry], MaskReading("clm"), "r10m", WHOLE["r10m"])
    rasters = stored(maja, 0, "r10m", "clm", "mg2", "edg")
    clm, mg2 = rasters["clm"], rasters["mg2"]
    assert (found[:, :5] == NO_OBSERVATION).all()
    inside = np.zeros(TEN, bool)
    inside[:, 5:] = True
    assert (found[inside & (clm == 3)] == CLOUD).all()
    assert (found[inside & ((clm == 33) | (clm == 65))] == CLOUD_SHADOW).all()
    assert (found[inside & (clm == 16)] == THIN_CLOUD).all()
    assert (found[inside & (clm == 0) & (mg2 == 4)] == SNOW).all()
    assert (found[inside & (clm == 0) & (mg2 == 1)] == WATER).all()
    assert (found[inside & (clm == 0) & (mg2 == 0)] == CLEAR).all()


def test_at_20_m_any_cloud_or_shadow_wins(maja: Cube) -> None:
    entries = maja.valid_dates[:2]
    fine = read_classes(maja, entries, MaskReading("clm"), "r10m", WHOLE["r10m"])
    coarse = read_classes(maja, entries, MaskReading("clm"), "r20m", WHOLE["r20m"])
    np.testing.assert_array_equal(coarse, to_20m(fine))
    parts = fine.reshape(2, 22, 2, 24, 2)
    cloudy = (parts == CLOUD).any(axis=(2, 4))
    assert (coarse[cloudy] == CLOUD).all()
    shadowy = ~cloudy & (parts == CLOUD_SHADOW).any(axis=(2, 4))
    assert shadowy.any()
    assert (coarse[shadowy] == CLOUD_SHADOW).all()


def test_without_an_edge_mask_nodata_of_the_reflectances_stands_for_it(maja: Cube) -> None:
    first, second, _third = maja.valid_dates
    (found,) = read_classes(maja, [second], MaskReading("clm"), "r10m", WHOLE["r10m"])
    assert (found[:, :6] == NO_OBSERVATION).all()  # neither red nor near infrared
    (known,) = read_classes(maja, [first], MaskReading("clm"), "r10m", WHOLE["r10m"])
    np.testing.assert_array_equal(found[:, 6:], known[:, 6:])
    assert (found[:, 6] != NO_OBSERVATION).all()  # near infrared alone


def test_bits_of_l1c_are_no_observation_where_nothing_was_seen(classi: Cube) -> None:
    (found,) = read_classes(
        classi, classi.valid_dates, MaskReading("classi"), "r20m", WHOLE["r20m"]
    )
    assert (found[:, :4] == NO_OBSERVATION).all()
    codes = stored(classi, 0, "r20m", "classi")["classi"][:, 4:]
    for code, expected in {0: CLEAR, 1: CLOUD, 2: THIN_CLOUD, 4: SNOW}.items():
        assert (found[:, 4:][codes == code] == expected).all()


def test_other_masks_of_a_product_can_be_read_alone(maja: Cube) -> None:
    entry = maja.valid_dates[1]
    (found,) = read_classes(maja, [entry], MaskReading("mg2"), "r10m", WHOLE["r10m"])
    mg2 = stored(maja, 1, "r10m", "mg2")["mg2"]
    assert (found[:, :6] == NO_OBSERVATION).all()
    assert (found[:, 6:][mg2[:, 6:] == 4] == SNOW).all()


def test_readings_and_options_are_passed_on(scl: Cube, maja: Cube) -> None:
    entry = maja.valid_dates[:1]
    loose = read_classes(maja, entry, MaskReading("clm", "clouds-only"), "r10m", WHOLE["r10m"])
    assert not (loose == CLOUD_SHADOW).any()
    strict = read_classes(maja, entry, MaskReading("clm", "strict"), "r10m", WHOLE["r10m"])
    clm = stored(maja, 0, "r10m", "clm")["clm"]
    assert not (strict[0][clm != 0] == CLEAR).any()
    with pytest.raises(MaskError, match="no reading is called 'lax'"):
        read_classes(maja, entry, MaskReading("clm", "lax"), "r10m", WHOLE["r10m"])
    with pytest.raises(MaskError, match="scl has no option 'order'"):
        read_classes(
            scl, scl.valid_dates, MaskReading("scl", options={"order": 1}), "r20m", WHOLE["r20m"]
        )


def test_the_group_of_a_mask_and_what_a_cube_does_not_hold(scl: Cube, maja: Cube) -> None:
    assert mask_group(scl.spec, "scl") == "r20m"
    assert mask_group(maja.spec, "clm") == "r10m"
    assert mask_group(maja.spec, "sat") == "r10m"
    with pytest.raises(BandError, match="the l2a cube of 31UES holds no mask 'clm'; it holds scl"):
        mask_group(scl.spec, "clm")
    with pytest.raises(BandError, match="clm edg mg2 sat"):
        read_classes(maja, maja.valid_dates, MaskReading("scl"), "r10m", WHOLE["r10m"])


# --- windows --------------------------------------------------------------------------------------

PLACES = [("scl", "scl"), ("maja", "clm"), ("classi", "classi")]


@st.composite
def windows(draw: st.DrawFn, shape: tuple[int, int]) -> Window:
    def span(length: int) -> slice:
        start = draw(st.integers(0, length - 1))
        return slice(start, draw(st.integers(start + 1, length)))

    return span(shape[0]), span(shape[1])


@pytest.mark.parametrize("group", ["r10m", "r20m"])
@pytest.mark.parametrize(("fixture", "name"), PLACES)
@given(data=st.data(), buffer=st.sampled_from([0, 10, 20, 35, 60]))
def test_a_window_is_that_part_of_the_whole(
    scl: Cube,
    maja: Cube,
    classi: Cube,
    fixture: str,
    name: str,
    group: str,
    data: st.DataObject,
    buffer: float,
) -> None:
    cube = {"scl": scl, "maja": maja, "classi": classi}[fixture]
    reading = MaskReading(name, buffer=buffer)
    key = (fixture, group, buffer)
    if key not in WHOLES:
        WHOLES[key] = read_classes(cube, cube.valid_dates, reading, group, WHOLE[group])
    window = data.draw(windows(TEN if group == "r10m" else TWENTY))
    found = read_classes(cube, cube.valid_dates, reading, group, window)
    np.testing.assert_array_equal(found, WHOLES[key][(slice(None), *window)])


WHOLES: dict[tuple[str, str, float], Array] = {}


def test_the_buffer_is_grown_in_the_masks_own_group(scl: Cube, maja: Cube) -> None:
    grown = read_classes(scl, scl.valid_dates, MaskReading("scl", buffer=40), "r10m", WHOLE["r10m"])
    codes = stored(scl, 0, "r20m", "scl")
    expected = dilate(decode("scl", codes), 40, 20)
    np.testing.assert_array_equal(grown[0], to_10m(expected))
    entry = maja.valid_dates[:1]
    grown = read_classes(maja, entry, MaskReading("clm", buffer=30), "r20m", WHOLE["r20m"])
    rasters = stored(maja, 0, "r10m", "clm", "mg2", "edg")
    np.testing.assert_array_equal(grown[0], to_20m(dilate(decode("clm", rasters), 30, 10)))


# --- contradictions -------------------------------------------------------------------------------


def test_contradicting_bits_are_counted_in_the_window(tmp_path: Path) -> None:
    clm = np.zeros(TEN, "uint8")
    clm[0, :4] = [25, 74, 33, 3]  # the first two deny their summary bits
    clm[20, 20] = 74
    clm[30, 40] = 3
    edg = np.zeros(TEN, "uint8")
    edg[30, 40] = 1  # a cloud outside the image
    cube = cube_of(tmp_path / "c.zarr", "maja", {"r10m/clm": clm, "r10m/edg": edg})
    (entry,) = cube.valid_dates
    assert count_contradictions(cube, entry, "clm", WHOLE["r10m"]) == 4
    assert count_contradictions(cube, entry, "clm", (slice(0, 10), slice(1, 48))) == 1
    assert count_contradictions(cube, entry, "clm", (slice(1, 10), slice(0, 48))) == 0
    # They are counted, never rewritten.
    np.testing.assert_array_equal(stored(cube, 0, "r10m", "clm")["clm"], clm)


def test_classes_contradict_nothing(scl: Cube) -> None:
    assert count_contradictions(scl, scl.valid_dates[0], "scl", WHOLE["r20m"]) == 0
