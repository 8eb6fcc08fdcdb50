"""Dates of mtcd: modes as StartMaja plans them, recipes that chain, angles from items."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cube.grid import Extent, tile_extent
from cube.mtcd.modes import Planned
from cube.mtcd.params import MtcdParams
from jobs.acquisitions import Acquisition
from jobs.dates import TileDate
from jobs.mtcd_dates import (
    MtcdDate,
    Recipes,
    chains,
    mode_fields,
    mode_text,
    plan_dates,
    recorded_mode,
    usable_dates,
)
from jobs.mtcd_meta import date_meta

EXTENT = Extent(32631, 600000, 4890000, 602000, 4892000)
BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22")


def scene(name: str, when: str, *, assets=BANDS, **properties) -> dict:
    about = {"view:sun_elevation": 50.0, "view:sun_azimuth": 150.0} | properties
    about = {n: v for n, v in about.items() if v is not None}
    return {
        "id": name,
        "collection": "sentinel-2-l1c",
        "properties": {"datetime": when, "clearcube:version": "1", **about},
        "assets": {key: {"href": f"/{name}/{key}"} for key in assets},
    }


def day(when: str, *items: dict) -> TileDate:
    return TileDate(Acquisition(items or (scene(f"S2_{when}", when),)), None)


def named(*dates: TileDate, tile: str = "31TFJ") -> dict[str, TileDate]:
    return {f"{tile}_{one.time:%Y%m%dT%H%M%S}_mtcd": one for one in dates}


def planned(dates: dict[str, TileDate], level: str = "l1c", **settings) -> dict[str, Planned]:
    usable, _ = usable_dates(dates, level, EXTENT)
    return plan_dates(usable, MtcdParams(**settings))


MAY_2021 = (
    ("S2A_MSIL1C_20210512T104021_N0300_R008_T31TFJ_20210512T124532", "2021-05-12T10:40:21Z"),
    ("S2B_MSIL1C_20210514T102559_N0300_R108_T31TFJ_20210514T123105", "2021-05-14T10:25:59Z"),
    ("S2B_MSIL1C_20210517T103619_N0300_R008_T31TFJ_20210517T124133", "2021-05-17T10:36:19Z"),
)


def test_three_products_as_startmaja_plans_them():
    dates = named(*(day(when, scene(name, when)) for name, when in MAY_2021))
    found = planned(dates)
    assert [each.mode for each in found.values()] == ["INIT", "NOMINAL", "NOMINAL"]
    assert [f"{name}: {mode_text(each)}" for name, each in found.items()] == [
        "31TFJ_20210512T104021_mtcd: INIT (Init mode - No previous L2; Not enough L1 products "
        "available for a BACKWARD mode. Beginning with INIT...)",
        "31TFJ_20210514T102559_mtcd: NOMINAL (L2 from previous; 2.0 days after the previous date; "
        "a start is made from 15 on)",
        "31TFJ_20210517T103619_mtcd: NOMINAL (L2 from previous; 3.0 days after the previous date; "
        "a start is made from 15 on)",
    ]
    back = planned(dates, nbackward=2)
    assert [each.mode for each in back.values()] == ["BACKWARD", "NOMINAL", "NOMINAL"]
    first = back["31TFJ_20210512T104021_mtcd"]
    assert first.info == "Backward of 2 products"
    assert first.reads == ("31TFJ_20210512T104021_mtcd", "31TFJ_20210514T102559_mtcd")


def test_a_gap_parts_chains():
    dates = named(day("2021-05-12T10:00:00Z"), day("2021-05-22T10:00:00Z"))
    dates |= named(day("2021-06-11T10:00:00Z"), day("2021-06-16T10:00:00Z"))
    found = planned(dates)
    assert [[each.mode for each in chain] for chain in chains(found.values())] == [
        ["INIT", "NOMINAL"],
        ["INIT", "NOMINAL"],
    ]
    assert len(chains(planned(dates, gap=25).values())) == 1


def test_what_an_item_records_is_what_was_planned():
    found = planned(named(*(day(when, scene(name, when)) for name, when in MAY_2021)), nbackward=2)
    for each in found.values():
        item = {"id": each.name, "properties": mode_fields(each, {"shadow": "evaluated"})}
        assert recorded_mode(item) == each
    assert recorded_mode({"id": "31TFJ_20210512T104021_scl", "properties": {}}) is None


# --- recipes --------------------------------------------------------------------------------------


def recipes(times: list[str], **changes) -> Recipes:
    dates = named(*map(day, times))
    usable, _ = usable_dates(dates, "l1c", EXTENT)
    made = Recipes(
        dates={each.name: each for each in usable},
        planned=plan_dates(usable, changes.pop("params", MtcdParams())),
        done=changes.pop("done", {}),
        sources={each.name: f"pixels of {each.name}" for each in usable},
        dems={"alps": "1"},
        parameters={"coarse": 240},
        job="cloud-mask",
        version="1",
    )
    return replace(made, **changes)


def fingerprints(found: Recipes) -> dict[str, str]:
    return {name[6:14]: found.recipe(name).fingerprint for name in found.planned}


TIMES = [f"2021-05-{d:02d}T10:00:00Z" for d in (2, 7, 12, 17)] + ["2021-06-11T10:00:00Z"]


def test_a_recipe_holds_scenes_heights_and_the_mask_before():
    found = recipes(TIMES)
    first, second = list(found.planned)[:2]
    assert found.recipe(first).inputs == {
        "S2_2021-05-02T10:00:00Z": f"pixels of {first}",
        "alps": "1",
    }
    assert found.recipe(second).inputs == {
        "S2_2021-05-07T10:00:00Z": f"pixels of {second}",
        "alps": "1",
        first: found.recipe(first).fingerprint,
    }
    assert found.recipe(second).method == "mtcd"


def test_a_late_date_makes_stale_what_follows_up_to_the_next_start():
    before = fingerprints(recipes([t for t in TIMES if "05-12" not in t]))
    after = fingerprints(recipes(TIMES))
    assert {name for name in before if before[name] != after[name]} == {"20210517"}


def test_changed_pixels_make_stale_what_follows_up_to_the_next_start():
    plain = recipes(TIMES)
    second = list(plain.planned)[1]
    changed = replace(plain, sources={**plain.sources, second: "other"}, _known={})
    before, after = fingerprints(plain), fingerprints(changed)
    assert {name for name in before if before[name] != after[name]} == {
        "20210507", "20210512", "20210517",
    }  # fmt: skip
    heights = fingerprints(replace(plain, dems={}, _known={}))
    assert all(before[name] != heights[name] for name in before)


def test_a_start_backward_is_made_from_later_dates():
    found = recipes(TIMES, params=MtcdParams(nbackward=3))
    first = next(iter(found.planned))
    assert [name for name in found.recipe(first).inputs if name.startswith("S2")] == [
        f"S2_2021-05-{d}T10:00:00Z" for d in ("02", "07", "12")
    ]


def test_a_date_that_had_to_start_anew_keeps_its_recipe():
    """Its plan says NOMINAL; that it started backward, for want of a state, it says itself."""
    params = MtcdParams(nbackward=3)
    plain = recipes(TIMES, params=params)
    name = list(plain.planned)[1]
    as_done = replace(plain.planned[name], mode="BACKWARD", reads=plain.planned[name].ahead)
    item = {"id": name, "properties": mode_fields(as_done, {})}
    known = recipes(TIMES, params=params, done={name: recorded_mode(item)})
    assert known.mode(name).mode == "BACKWARD"
    assert "S2_2021-05-17T10:00:00Z" in known.recipe(name).inputs
    plain.are_done([as_done])
    assert plain.recipe(name).fingerprint == known.recipe(name).fingerprint
    # With other dates it would start from others: the plan counts again.
    fewer = recipes(TIMES[:3], params=params, done={name: recorded_mode(item)})
    assert fewer.mode(name).mode == "NOMINAL"


def test_a_chain_may_be_longer_than_calls_nest():
    first = datetime(2018, 1, 1, tzinfo=UTC)
    times = [(first + timedelta(days=2 * n)).isoformat() for n in range(1500)]
    found = recipes([time.replace("+00:00", "Z") for time in times])
    assert len(found.recipe(list(found.planned)[-1]).inputs) == 3


# --- dates that can be used -----------------------------------------------------------------------


def test_all_dates_play_blue_with_one_band():
    whole = (*BANDS, "coastal", "cirrus")
    with_both = day("2021-05-02T10:00:00Z", scene("a", "2021-05-02T10:00:00Z", assets=whole))
    without = day("2021-05-07T10:00:00Z", scene("b", "2021-05-07T10:00:00Z"))
    (found,), notes = usable_dates(named(with_both), "l1c", EXTENT)
    assert found.beside == ("coastal", "cirrus")
    assert found.bands == ("green", "red", "nir08", "swir16", "swir22")
    assert notes == []
    both, _ = usable_dates(named(with_both, without), "l1c", EXTENT)
    assert [(each.bands[0], each.beside) for each in both] == [("blue", ("cirrus",)), ("blue", ())]
    (surface,), _ = usable_dates(named(with_both), "l2a", EXTENT)
    assert surface.beside == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"assets": ("blue", "green", "nir08")}, "a came without red"),
        ({"view:sun_elevation": 0.5}, "89.5 and 0.0 degrees from the zenith"),
    ],
)
def test_dates_that_cannot_be_used_are_left_out(change, words):
    bad = day("2021-05-02T10:00:00Z", scene("a", "2021-05-02T10:00:00Z", **change))
    dates, (note,) = usable_dates(named(bad, day("2021-05-07T10:00:00Z")), "l1c", EXTENT)
    assert [each.name for each in dates] == ["31TFJ_20210507T100000_mtcd"]
    assert note.startswith("31TFJ_20210502T100000_mtcd is not made: ")
    assert words in note


def test_pixels_that_are_to_come_are_equal_to_none():
    (found,), _ = usable_dates(named(day("2021-05-02T10:00:00Z")), "l1c", EXTENT)
    assert isinstance(found, MtcdDate)
    assert found.source(None) == "pending"


# --- angles ---------------------------------------------------------------------------------------


NOON = datetime(2021, 5, 12, 10, 40, 21, tzinfo=UTC)


def test_angles_are_means_of_the_granules_directions():
    near = {"view:sun_azimuth": 350.0, "view:off_nadir": 2.0, "view:azimuth": 100.0}
    far = {"view:sun_azimuth": 10.0, "view:off_nadir": 6.0, "view:azimuth": 280.0}
    items = [scene("a", "", **near), scene("b", "", **far)]
    meta = date_meta(items, "l1c", NOON, EXTENT)
    assert (meta.day, meta.level) == (18759, "l1c")
    assert meta.sun_azimuth == pytest.approx(0, abs=1e-6) or meta.sun_azimuth == pytest.approx(360)
    assert meta.sun_zenith == pytest.approx(39.5, abs=0.3)
    # Opposite views: what is left is 2 degrees toward the farther one.
    assert meta.view_zenith == pytest.approx(2.0, abs=0.01)
    assert meta.view_azimuth == pytest.approx(280)


def test_angles_of_one_granule_are_taken_as_they_are():
    item = scene("a", "", **{"view:off_nadir": 7.2, "view:azimuth": 286.7})
    meta = date_meta([item, item], "l2a", NOON, EXTENT)
    assert (meta.sun_zenith, meta.sun_azimuth) == (40.0, 150.0)
    assert (meta.view_zenith, meta.view_azimuth) == (7.2, 286.7)


def test_the_view_may_stand_with_the_bands_alone():
    item = scene("a", "")
    item["assets"]["red"] |= {"view:incidence_angle": 8.0, "view:azimuth": 104.0}
    item["assets"]["blue"] |= {"view:incidence_angle": 8.0, "view:azimuth": 106.0}
    meta = date_meta([item], "l2a", NOON, EXTENT)
    assert meta.view_zenith == pytest.approx(8.0, abs=0.01)
    assert meta.view_azimuth == pytest.approx(105.0)


def test_a_sun_that_nobody_states_is_computed(shared):
    """Against genuine metadata, for the time at which the tile itself was seen."""
    from catalog.products import open_product, product_item

    for path in sorted((shared / "safe-l1c-31TCJ").glob("*.SAFE")):
        item = product_item(open_product(path))
        (metadata,) = path.glob("GRANULE/*/MTD_TL.xml")
        time = datetime.fromisoformat(
            next(ElementTree.parse(metadata).getroot().iter("SENSING_TIME")).text[:19] + "+00:00"
        )
        stated = date_meta([item], "l1c", time, tile_extent("31TCJ"))
        bare = {n: v for n, v in item["properties"].items() if not n.startswith("view:sun")}
        meta = date_meta([{**item, "properties": bare}], "l1c", time, tile_extent("31TCJ"))
        assert meta.sun_zenith == pytest.approx(stated.sun_zenith, abs=0.2)
        assert meta.sun_azimuth == pytest.approx(stated.sun_azimuth, abs=0.2)
        assert (stated.view_zenith, stated.view_azimuth) == (
            pytest.approx(2.9, abs=0.1), pytest.approx(199, abs=2),
        )  # fmt: skip


def test_azimuths_of_genuine_products_point_to_the_sensor(shared):
    """On each side of the track the zenith grows away from it, and the azimuth points back to it.

    Detectors of two passes over the middle of tile 31TCJ and one that runs west of T22HBD.
    """
    checked = 0
    for path in sorted(shared.glob("safe-*/*/GRANULE/*/MTD_TL.xml")):
        for grid in ElementTree.parse(path).getroot().iter("Viewing_Incidence_Angles_Grids"):
            zenith, azimuth = (
                np.array([line.text.split() for line in grid.find(name).iter("VALUES")], float)
                for name in ("Zenith", "Azimuth")
            )
            row = zenith[11]
            if grid.get("bandId") != "3" or np.isfinite(row).sum() < 3 or np.nanmin(row) < 2:
                continue
            grows_eastward = np.gradient(row[np.isfinite(row)]).mean() > 0
            points_west = np.sin(np.radians(azimuth[np.isfinite(azimuth)])).mean() < 0
            assert grows_eastward == points_west, (path, grid.get("detectorId"))
            checked += 1
    assert checked >= 8
