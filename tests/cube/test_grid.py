"""Tiles, extents, blocks and footprints, against the corners that genuine products state."""

import mgrs
import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import Transformer

from cube.errors import CubeError, GridError
from cube.grid import (
    BLOCK_PIXELS,
    TILE_SIZE,
    Block,
    Extent,
    blocks,
    footprint_extent,
    footprint_in,
    lonlat,
    on_lattice,
    tile_extent,
    union_extent,
)

# Tile, EPSG code, ULX and ULY as the products' granule metadata state them.
GENUINE = [
    ("31UES", 32631, 499980, 5700000),
    ("31TCJ", 32631, 300000, 4900020),
    ("22HBD", 32722, 199980, 5900020),
    ("01CCV", 32701, 300000, 2000020),
    ("07HFE", 32707, 600000, 6500020),
    ("38KPE", 32738, 600000, 8000020),
]
TILE = tile_extent("31UES")


@pytest.mark.parametrize(("tile", "epsg", "left", "top"), GENUINE)
def test_a_tile_lies_where_its_products_say(tile: str, epsg: int, left: int, top: int) -> None:
    assert tile_extent(tile) == Extent(epsg, left, top - 109800, left + 109800, top)


@given(
    lon=st.floats(-180, 179.999),
    lat=st.floats(-79.9, 83.9),
)
def test_the_tile_named_after_a_place_holds_it(lon: float, lat: float) -> None:
    # Within half a centimetre south of the equator mgrs rounds up and names no square there is.
    assume(not -1e-7 < lat < 0)
    tile = mgrs.MGRS().toMGRS(lat, lon, MGRSPrecision=0).zfill(5)
    extent = tile_extent(tile)
    x, y = Transformer.from_crs(4326, extent.epsg, always_xy=True).transform(lon, lat)
    assert extent.left <= x <= extent.right
    assert extent.bottom <= y <= extent.top


def test_a_square_that_a_latitude_band_cuts_is_a_tile_without_a_warning() -> None:
    # 31UEP begins south of 48 degrees, where band U does.
    assert tile_extent("31UEP") == Extent(32631, 499980, 5290200, 609780, 5400000)


@given(st.sampled_from([row[0] for row in GENUINE]))
def test_a_tile_covers_its_100_km_square_by_whole_pixels_of_60_m(tile: str) -> None:
    extent = tile_extent(tile)
    assert extent.right - extent.left == extent.top - extent.bottom == TILE_SIZE
    assert extent.left % 60 == 0
    false_northing = 10_000_000 if extent.epsg > 32700 else 0
    assert (extent.top - false_northing) % 60 == 0
    assert [extent.shape(size) for size in (10, 20, 60)] == [
        (10980, 10980),
        (5490, 5490),
        (1830, 1830),
    ]


@pytest.mark.parametrize(
    "name",
    ["", "31", "T31UES", "31ues", "31IES", "31UOS", "00UES", "61UES", "31UES1", "31UES\n", "31AAA"],
)
def test_what_is_no_tile_name_is_refused(name: str) -> None:
    with pytest.raises(GridError, match="is no MGRS tile such as 31TCJ"):
        tile_extent(name)


@pytest.mark.parametrize("name", ["32XNM", "31UJS", "31VFL"])
def test_a_name_without_a_square_is_refused(name: str) -> None:
    with pytest.raises(GridError, match=f"there is no MGRS tile {name}"):
        tile_extent(name)


def test_a_geobox_has_the_corner_and_pixels_of_its_extent() -> None:
    extent = Extent(32631, 574680, 5621800, 575320, 5622440)
    box = extent.geobox(20)
    assert box.shape == (32, 32)
    assert tuple(box.affine)[:6] == (20, 0, 574680, 0, -20, 5622440)
    assert box.crs.epsg == 32631
    with pytest.raises(GridError, match="an extent of 640 x 640 m holds no whole 60 m pixels"):
        extent.geobox(60)


def test_contains_and_meets() -> None:
    outer, inner = Extent(32631, 0, 0, 100, 100), Extent(32631, 20, 20, 100, 80)
    assert outer.contains(outer)
    assert outer.contains(inner)
    assert not inner.contains(outer)
    assert not Extent(32632, 0, 0, 100, 100).contains(inner)
    assert outer.meets(inner)
    assert not outer.meets(Extent(32631, 100, 0, 200, 100))
    assert not outer.meets(Extent(32632, 0, 0, 100, 100))


# --- footprints -----------------------------------------------------------------------------------


def test_a_footprint_is_the_place_of_the_raster_in_whole_metres() -> None:
    assert footprint_extent([20, 0, 574680, 0, -20, 5622440], [32, 16], 32631) == Extent(
        32631, 574680, 5621800, 575000, 5622440
    )
    # Nine numbers are as good as six, and parts of a metre count outwards.
    assert footprint_extent([1098, 0, 0.5, 0, -1098, 5000.25, 0, 0, 1], [2, 3], 32631) == Extent(
        32631, 0, 2804, 3295, 5001
    )


@pytest.mark.parametrize(
    "transform", [[10, 0, 0, 0, 10, 0], [-10, 0, 0, 0, -10, 0], [10, 1, 0, 0, -10, 0]]
)
def test_a_raster_that_is_not_north_up_has_no_footprint(transform: list[float]) -> None:
    with pytest.raises(GridError, match="not north-up"):
        footprint_extent(transform, [2, 2], 32631)


def test_a_footprint_of_the_next_zone_is_the_rectangle_around_it() -> None:
    same = [10, 0, 574680, 0, -10, 5622440]
    assert footprint_in(same, [64, 64], 32631, 32631) == footprint_extent(same, [64, 64], 32631)
    found = footprint_in(same, [64, 64], 32631, 32632)
    corners = [(574680, 5621800), (575320, 5621800), (575320, 5622440), (574680, 5622440)]
    moved = [Transformer.from_crs(32631, 32632).transform(*corner) for corner in corners]
    xs, ys = zip(*moved, strict=True)
    assert found == Extent(
        32632,
        int(np.floor(min(xs))),
        int(np.floor(min(ys))),
        int(np.ceil(max(xs))),
        int(np.ceil(max(ys))),
    )


def test_the_union_snaps_outwards_to_the_tiles_lattice() -> None:
    # The tile's corner is 499980, 5700000: 20 m pixels begin at odd multiples of 20.
    one = Extent(32631, 574685, 5621805, 575315, 5622435)
    assert union_extent("31UES", [one]) == Extent(32631, 574680, 5621800, 575320, 5622440)
    other = Extent(32631, 570001, 5622000, 570002, 5622441)
    assert union_extent("31UES", [one, other]) == Extent(32631, 570000, 5621800, 575320, 5622460)
    assert union_extent("31UES", [one], snap=60) == Extent(32631, 574680, 5621760, 575340, 5622480)


def test_the_union_is_cut_to_the_tile() -> None:
    beyond = Extent(32631, 400000, 5690001, 500001, 5800000)
    assert union_extent("31UES", [beyond]) == Extent(32631, 499980, 5690000, 500020, 5700000)
    assert union_extent("31UES", [Extent(32631, 0, 0, 1_000_000, 9_000_000)]) == TILE


@given(
    edges=st.lists(
        st.tuples(
            st.integers(TILE.left, TILE.right - 1),
            st.integers(TILE.bottom, TILE.top - 1),
            st.integers(1, 5000),
            st.integers(1, 5000),
        ),
        min_size=1,
        max_size=4,
    ),
    snap=st.sampled_from([10, 20, 60]),
)
def test_the_union_is_the_smallest_on_the_lattice(
    edges: list[tuple[int, int, int, int]], snap: int
) -> None:
    found = [Extent(TILE.epsg, x, y, x + width, y + height) for x, y, width, height in edges]
    union = union_extent("31UES", found, snap)
    assert TILE.contains(union)
    assert (union.left - TILE.left) % snap == (TILE.top - union.top) % snap == 0
    assert (TILE.right - union.right) % snap == (union.bottom - TILE.bottom) % snap == 0
    assert 0 <= min(each.left for each in found) - union.left < snap
    assert 0 <= min(each.bottom for each in found) - union.bottom < snap
    assert min(max(each.right for each in found), TILE.right) <= union.right
    assert union.right - max(each.right for each in found) < snap
    assert min(max(each.top for each in found), TILE.top) <= union.top
    assert union.top - max(each.top for each in found) < snap


def test_footprints_that_make_no_union_are_refused() -> None:
    with pytest.raises(GridError, match="lie outside tile 31UES"):
        union_extent("31UES", [Extent(32631, 300000, 4800000, 301000, 4801000)])
    with pytest.raises(GridError, match="lie outside tile 31UES"):  # touching is not lying on
        union_extent("31UES", [Extent(32631, 400000, 5600000, 499980, 5601000)])
    with pytest.raises(GridError, match="EPSG:32632 is not the CRS of tile 31UES, EPSG:32631"):
        union_extent("31UES", [Extent(32632, 499980, 5600000, 500980, 5601000)])
    with pytest.raises(GridError, match="no footprint to make the extent of tile 31UES from"):
        union_extent("31UES", [])
    assert issubclass(GridError, CubeError)


@pytest.mark.parametrize(
    ("transform", "resolution", "there"),
    [
        ([10, 0, 574680, 0, -10, 5622440], 10, True),
        ([10, 0, 574690, 0, -10, 5622430], 10, True),
        ([10, 0, 499980, 0, -10, 5700000], 10, True),
        ([20, 0, 574680, 0, -20, 5622440], 20, True),
        ([20, 0, 574690, 0, -20, 5622440], 20, False),
        ([20, 0, 574680, 0, -20, 5622450], 20, False),
        ([20, 0, 574680, 0, -20, 5622440], 10, False),
        ([10, 0, 574685, 0, -10, 5622440], 10, False),
        ([10, 0, 574680, 0, 10, 5622440], 10, False),
    ],
)
def test_on_lattice(transform: list[float], resolution: int, there: bool) -> None:
    extent = Extent(32631, 574680, 5621800, 575320, 5622440)
    assert on_lattice(transform, extent, resolution) is there


# --- blocks ---------------------------------------------------------------------------------------


def test_a_full_tile_has_484_blocks() -> None:
    found = list(blocks(TILE.shape(20)))
    assert len(found) == 22 * 22 == 484
    assert found[0] == Block(0, 0, 0, 0, 256, 256)
    # 21 * 256 = 5376 of 5490 pixels: the last row and column are 114 wide.
    assert found[-1] == Block(21, 21, 5376, 5376, 114, 114)
    assert [block.key for block in found[:3]] == ["y00x00", "y00x01", "y00x02"]
    assert len({block.key for block in found}) == 484


def test_windows_at_a_finer_group_cover_the_same_ground() -> None:
    block = list(blocks((600, 300)))[-1]
    assert block == Block(2, 1, 512, 256, 88, 44)
    assert block.window(1) == (slice(512, 600), slice(256, 300))
    assert block.window(2) == (slice(1024, 1200), slice(512, 600))
    assert BLOCK_PIXELS == 256
    assert next(blocks((600, 300))).window(2) == (slice(0, 512), slice(0, 512))


@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    side=st.integers(1, 40),
    factor=st.integers(1, 3),
)
def test_blocks_cover_each_pixel_once(shape: tuple[int, int], side: int, factor: int) -> None:
    seen = np.zeros((shape[0] * factor, shape[1] * factor), int)
    for block in blocks(shape, side):
        assert 0 < block.height <= side
        assert 0 < block.width <= side
        seen[block.window(factor)] += 1
    assert (seen == 1).all()


# --- longitude and latitude -----------------------------------------------------------------------

CROSSING = ["01CCV", "01WCV", "60WWD", "01KAB", "60CWD", "01XDH"]


def test_the_outline_of_a_tile_goes_through_its_corners() -> None:
    geometry, bbox = lonlat(TILE)
    assert geometry["type"] == "Polygon"
    polygon = shapely.geometry.shape(geometry)
    assert polygon.is_valid
    assert len(polygon.exterior.coords) == 17
    assert bbox == pytest.approx(list(polygon.bounds), abs=1e-7)
    to_lonlat = Transformer.from_crs(TILE.epsg, 4326, always_xy=True)
    for corner in [(TILE.left, TILE.top), (TILE.right, TILE.bottom), (554880, TILE.top)]:
        place = shapely.Point(to_lonlat.transform(*corner))
        assert polygon.exterior.distance(place) < 1e-6
    # North of the equator, in the eastern half of its zone.
    assert bbox == pytest.approx([2.9997, 50.4535, 4.5795, 51.4512], abs=1e-4)


@pytest.mark.parametrize(
    "tile", sorted({*CROSSING, *(row[0] for row in GENUINE), "31NAA", "31MAV"})
)
def test_outlines_are_valid_and_run_counter_clockwise(tile: str) -> None:
    geometry, bbox = lonlat(tile_extent(tile))
    shape = shapely.geometry.shape(geometry)
    assert shape.is_valid
    for part in getattr(shape, "geoms", [shape]):
        assert part.exterior.is_ccw
        assert part.exterior.is_closed
        assert -180 <= part.bounds[0] < part.bounds[2] <= 180
    assert -90 < bbox[1] < bbox[3] < 90


@pytest.mark.parametrize("tile", CROSSING)
def test_a_tile_across_the_antimeridian_has_two_parts(tile: str) -> None:
    extent = tile_extent(tile)
    geometry, bbox = lonlat(extent)
    assert geometry["type"] == "MultiPolygon"
    parts = shapely.geometry.shape(geometry).geoms
    west, east = sorted(parts, key=lambda part: -part.bounds[0])
    assert (west.bounds[2], east.bounds[0]) == (180, -180)
    assert bbox == pytest.approx(
        [
            west.bounds[0],
            min(west.bounds[1], east.bounds[1]),
            east.bounds[2],
            max(west.bounds[3], east.bounds[3]),
        ],
        abs=1e-6,
    )
    assert bbox[0] > bbox[2]
    # The parts together have the area of the tile, on the ground.
    to_tile = Transformer.from_crs(4326, extent.epsg, always_xy=True)
    area = sum(
        shapely.Polygon(np.column_stack(to_tile.transform(*part.exterior.segmentize(0.05).xy))).area
        for part in parts
    )
    assert area == pytest.approx(TILE_SIZE**2, rel=2e-3)


def test_parts_of_a_crossing_tile_are_on_their_own_side() -> None:
    whole = tile_extent("01WCV")
    west = Extent(whole.epsg, whole.left, whole.bottom, whole.left + 1000, whole.bottom + 1000)
    east = Extent(whole.epsg, whole.right - 1000, whole.top - 1000, whole.right, whole.top)
    assert lonlat(west)[0]["type"] == lonlat(east)[0]["type"] == "Polygon"
    assert lonlat(west)[1] == pytest.approx([177.4773, 71.0334, 177.5073, 71.0431], abs=1e-4)
    assert lonlat(east)[1][2] < -179


def test_an_extent_of_odd_metres_has_an_outline_too() -> None:
    geometry, bbox = lonlat(Extent(32631, 500000, 5600000, 500015, 5600030))
    assert shapely.geometry.shape(geometry).is_valid
    assert bbox[0] == 3.0
    assert bbox[2] - bbox[0] == pytest.approx(15 / 111_320 / np.cos(np.radians(50.55)), rel=5e-3)
