"""Items to a lazy dataset: dates, merging, grid, encodings."""

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from affine import Affine

from cube.errors import BandError, GridError, LoadError
from cube.grid import Extent
from cube.series import load_items

LEFT, TOP = 300000, 4900020
"""Upper left corner of tile 31TCJ in EPSG:32631."""


def raster(path, pixels, size, column=0):
    pixels = np.asarray(pixels)
    transform = Affine(size, 0, LEFT + column, 0, -size, TOP)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=pixels.shape[0], width=pixels.shape[1],
        dtype=pixels.dtype, crs="EPSG:32631", transform=transform,
    ) as target:  # fmt: skip
        target.write(pixels, 1)
    return {
        "href": str(path),
        "type": "image/tiff",
        "proj:shape": list(pixels.shape),
        "proj:transform": list(transform)[:6],
        "raster:bands": [
            {"data_type": str(pixels.dtype), "nodata": 0, "scale": 1e-4, "offset": -0.1}
        ],
    }


def item(folder, name, when, red, scl, **more):
    properties = {
        "datetime": when, "grid:code": "MGRS-31TCJ", "clearcube:level": "l2a",
        "proj:code": "EPSG:32631", **more,
    }  # fmt: skip
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "geometry": None,
        "links": [],
        "properties": properties,
        "assets": {
            "red": raster(folder / f"{name}_red.tif", np.array(red, np.uint16), 10),
            "scl": raster(folder / f"{name}_scl.tif", np.array(scl, np.uint8), 20),
        },
    }


@pytest.fixture
def day(tmp_path):
    """Two granules of one solar day: the first sees the left half, both the lower right."""
    early = item(
        tmp_path, "early", "2020-05-01T10:40:31Z",
        [[1500, 1600, 0, 0], [1700, 1800, 0, 0]], [[4, 0]],
    )  # fmt: skip
    late = item(
        tmp_path, "late", "2020-05-01T10:40:45Z",
        [[9000, 9000, 2500, 2600], [9000, 9000, 0, 2800]], [[8, 5]],
    )  # fmt: skip
    return early, late


def test_granules_of_a_solar_day_are_one_date_the_first_with_data_counts(day):
    early, late = day
    found = load_items([late, early], ["red", "scl"])
    assert found.sizes == {"time": 1, "y": 2, "x": 4}
    assert found.time.values == np.datetime64("2020-05-01T10:40:31", "ns")
    np.testing.assert_array_equal(found.red[0], [[500, 600, 1500, 1600], [700, 800, -10000, 1800]])
    assert found.red.dtype == np.int16
    np.testing.assert_array_equal(found.scl[0], [[4, 4, 5, 5], [4, 4, 0, 5]])
    assert found.odc.geobox.affine == Affine(10, 0, LEFT, 0, -10, TOP)


def test_masks_alone_are_merged_as_with_their_bands(day):
    alone = load_items(day, ["scl"])
    assert set(alone.data_vars) == {"scl"}
    assert alone.scl.values.tolist()[0][0][:2] == [4, 4]


def test_days_are_in_order_and_superseded_deliveries_left_out(day, tmp_path):
    early, _ = day
    before = item(tmp_path, "before", "2020-04-28T10:40:31Z", [[2000] * 4] * 2, [[4, 4]])
    old = item(
        tmp_path, "old", "2020-04-28T10:40:30Z", [[7000] * 4] * 2, [[4, 4]],
        **{"clearcube:superseded_by": "before"},
    )  # fmt: skip
    found = load_items([early, old, before], ["red"])
    assert [str(time)[:10] for time in found.time.values] == ["2020-04-28", "2020-05-01"]
    assert (found.red[0] == 1000).all()


def test_masked_gives_reflectances_with_nan(day):
    found = load_items(day, ["red", "scl"], masked=True)
    assert found.red.dtype.kind == "f"
    np.testing.assert_allclose(
        found.red[0], [[0.05, 0.06, 0.15, 0.16], [0.07, 0.08, np.nan, 0.18]], atol=1e-7
    )
    assert found.scl.dtype == np.uint8


def test_chunks_do_not_change_the_pixels(day):
    whole, cut = load_items(day), load_items(day, chunk=1)
    assert cut.red.data.chunks == ((1,), (1, 1), (1, 1, 1, 1))
    xr.testing.assert_identical(whole.compute(), cut.compute())
    # A band that no item has is there, without data.
    assert (whole.nir == -10000).all()


@pytest.mark.parametrize("engine", ["odc-stac", "stackstac"])
def test_a_coarser_grid_averages_reflectances_without_nodata(day, engine):
    # The files name no nodata, as JP2 do not; the items do.
    found = load_items(day, ["red", "scl"], resolution=20, engine=engine)
    np.testing.assert_array_equal(found.red[0], [[650, 1633]])
    np.testing.assert_array_equal(found.scl[0], [[4, 5]])


def test_an_extent_of_ones_own_and_pystac_items(day):
    extent = Extent(32631, LEFT - 20, TOP - 20, LEFT + 20, TOP)
    found = load_items([pystac.Item.from_dict(day[0])], ["red"], extent=extent)
    np.testing.assert_array_equal(
        found.red[0], [[-10000, -10000, 500, 600], [-10000, -10000, 700, 800]]
    )


def test_what_cannot_be_loaded_is_said(day, tmp_path):
    early, _ = day
    with pytest.raises(LoadError, match="no item to load"):
        load_items([])
    with pytest.raises(BandError, match="no band 'ndvi'; it has blue"):
        load_items([early], ["ndvi"])
    other = item(
        tmp_path, "other", "2020-05-01T10:40:31Z", [[1] * 4] * 2, [[4, 4]],
        **{"grid:code": "MGRS-31TDJ"},
    )  # fmt: skip
    with pytest.raises(GridError, match="MGRS-31TCJ MGRS-31TDJ; load one at a time"):
        load_items([early, other])
    del early["properties"]["clearcube:level"]
    with pytest.raises(LoadError, match="early does not say clearcube:level; ingest it first"):
        load_items([early])
