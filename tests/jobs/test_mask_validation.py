"""Masks against truths of every form; every number by hand, or of the real series."""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.warp import transform_geom

from cube.confusion import figures
from cube.grid import Extent, tile_extent
from cube.masks import decode
from cube.rasters import write_cog
from jobs.errors import RequestError
from jobs.mask_truth import Grid, read_truth
from jobs.mask_validation import Tally, judge, validate_masks
from jobs.runner.publish import publish
from jobs.workspace import Workspace, open_workspace

WHOLE = tile_extent("31UES")
EXTENT = Extent(WHOLE.epsg, WHOLE.left, WHOLE.top - 160, WHOLE.left + 160, WHOLE.top)
TRANSFORM = Affine(20, 0, EXTENT.left, 0, -20, EXTENT.top)
MAY, JUNE = "20190516", "20190615"

# Eight columns of 20 m: clear, clear, cloud, cloud, shadow, thin, snow, nothing.
ROW = [1, 1, 2, 2, 3, 4, 5, 0]


def publish_mask(workspace: Workspace, day: str, rows: Any, variant: str = "") -> None:
    pixels = np.array(rows, np.uint8)
    name = f"31UES_{day}T105659_scl" + (f"_{variant}" if variant else "")
    path = workspace.products / "cloud-mask-scl" / name / "aaaa" / f"{name}_mask.tif"
    write_cog(
        path, EXTENT.geobox(20), lambda a, b: pixels[a:b], dtype="uint8", nodata=0, average=False
    )
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "collection": "cloud-mask-scl",
        "geometry": None,
        "properties": {
            "datetime": f"{parse(day)}T10:56:59Z",
            "grid:code": "MGRS-31UES",
            "clearcube:job": "decode-masks",
            "clearcube:fingerprint": "aaaa",
            "clearcube:variant": variant,
        },
        "links": [],
        "assets": {"mask": {"href": str(path), "type": "image/tiff", "roles": ["data"]}},
    }
    publish(workspace, [item])


def parse(day: str) -> date:
    return date.fromisoformat(day)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as workspace:
        publish_mask(workspace, MAY, [ROW] * 8)
        publish_mask(workspace, JUNE, [[1] * 8] * 8)
        publish_mask(workspace, MAY, [[2] * 8] * 8, "wide")
        yield workspace


def write_raster(path: Path, rows: Any, pixel: float = 20.0) -> Path:
    pixels = np.array(rows, np.uint8)
    transform = Affine(pixel, 0, EXTENT.left, 0, -pixel, EXTENT.top)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=pixels.shape[0], width=pixels.shape[1], count=1,
        dtype="uint8", crs=f"EPSG:{EXTENT.epsg}", transform=transform,
    ) as raster:  # fmt: skip
        raster.write(pixels, 1)
    return path


def write_json(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def shape(kind: str, corners: Sequence[tuple[float, float]], label: str) -> dict[str, Any]:
    """Feature of May; corners are metres right of and below the upper left one."""
    points = [(EXTENT.left + x, EXTENT.top - y) for x, y in corners]
    coordinates: Any = points[0] if kind == "Point" else [[*points, points[0]]]
    return {
        "type": "Feature",
        "geometry": transform_geom(
            f"EPSG:{EXTENT.epsg}", "EPSG:4326", {"type": kind, "coordinates": coordinates}
        ),
        "properties": {"date": "2019-05-16", "class": label},
    }


def test_a_raster_is_judged_pixel_by_pixel(workspace: Workspace, tmp_path: Path) -> None:
    # As the mask, but for thin cloud where it says snow.
    truth = [[1, 1, 2, 2, 3, 4, 4, 1]] * 8
    file = write_raster(tmp_path / "truth_20190516.tif", truth)
    found = validate_masks(workspace, "31UES", ["scl"], file, edge=20)
    one = found["masks"]["scl"]
    assert found["dates"] == 1
    assert one["all"]["judged"] == 56
    assert one["all"]["overall_accuracy"] == pytest.approx(48 / 56, abs=1e-6)
    assert one["all"]["balanced_accuracy"] == pytest.approx((1 + 32 / 40) / 2, abs=1e-6)
    assert one["all"]["called_invalid"]["thin_cloud"] == 0.5
    # Columns 0, 3, 4 and 5 are farther than a pixel from where one side ends.
    assert one["away_from_edges"]["judged"] == 32
    assert one["away_from_edges"]["balanced_accuracy"] == 1
    # Two clouds, one of 16 and one of 16 pixels, both below a hectare; half of one is found.
    assert one["cloud_sizes"][0] == {
        "least_ha": 0, "clouds": 2, "found": 2, "pixels": 32, "recall": 0.75,
    }  # fmt: skip


def test_a_folder_of_coarser_rasters_in_alcds_codes(workspace: Workspace, tmp_path: Path) -> None:
    alcd = [[5, 5, 2], [5, 4, 7], [0, 0, 0]]
    write_raster(
        tmp_path / "t" / "Brussels_31UES_20190516" / "Classification" / "classification_map.tif",
        alcd, 60,
    )  # fmt: skip
    found = validate_masks(workspace, "31UES", ["scl", "scl:wide"], tmp_path / "t")
    one = found["masks"]["scl"]["all"]
    # The right most column of the mask saw nothing; the last two rows lie in no_data.
    assert one["judged"] == 6 * 7
    assert one["confusion"]["clear"] == {
        "clear": 12, "cloud": 9, "cloud_shadow": 3, "thin_cloud": 3, "snow": 0,
    }  # fmt: skip
    assert one["confusion"]["cloud_shadow"]["cloud"] == 3
    assert found["masks"]["scl:wide"]["all"]["called_invalid"]["clear"] == 1
    # What the truth has and a mask lacks is said, and judged for none.
    assert found["without_mask"] == {"scl": [], "scl:wide": []}


def test_cells_are_judged_by_most_of_their_pixels(workspace: Workspace, tmp_path: Path) -> None:
    # Cells of 80 m over the whole mask: two of clear and cloud, two of shadow, thin and snow.
    cells = write_json(tmp_path / "l.json", {"cells": {MAY: ["cs", "kx"], JUNE: ["cc", "cc"]}})
    one = validate_masks(workspace, "31UES", ["scl"], cells)["masks"]["scl"]
    # Half cloud is valid; two of three pixels that are observed are not.
    assert one["all"]["confusion"]["clear"] == {"clear": 5, "cloud_shadow": 0, "cloud": 0}
    assert one["all"]["confusion"]["cloud"]["clear"] == 1
    assert one["all"]["confusion"]["cloud_shadow"]["cloud_shadow"] == 1
    bounds = [EXTENT.left + 40, EXTENT.top - 40, EXTENT.left + 80, EXTENT.top]
    one_cell = write_json(tmp_path / "b.json", {"bounds": bounds, "cells": {MAY: ["k"]}})
    found = validate_masks(workspace, "31UES", ["scl"], one_cell)["masks"]["scl"]["all"]
    assert (found["judged"], found["overall_accuracy"]) == (1, 1)


def test_points_and_polygons(workspace: Workspace, tmp_path: Path) -> None:
    square = [(0.0, 0.0), (60.0, 0.0), (60.0, 60.0), (0.0, 60.0)]
    features = [shape("Polygon", square, "clear"), shape("Point", [(90, 90)], "s")]
    file = write_json(tmp_path / "p.geojson", {"type": "FeatureCollection", "features": features})
    found = validate_masks(workspace, "31UES", ["scl"], file)["masks"]["scl"]
    assert found["all"]["confusion"]["clear"] == {"clear": 6, "cloud": 3, "cloud_shadow": 0}
    assert found["all"]["confusion"]["cloud_shadow"]["cloud_shadow"] == 1
    assert "away_from_edges" not in found
    whole = validate_masks(workspace, "31UES", ["scl"], file, whole_shapes=True)["masks"]["scl"]
    assert whole["all"]["confusion"]["clear"] == {"clear": 1, "cloud_shadow": 0}


def test_the_command(workspace: Workspace, tmp_path: Path, clearcube: Any) -> None:
    cells = write_json(
        tmp_path / "l.json", {"cells": {MAY: ["cs", "kx"], JUNE: ["cc"], "20190701": ["c"]}}
    )
    place = workspace.settings.workspace
    asked = ("validate", "masks", "--tile", "T31UES", "--truth", cells)
    said = clearcube(place, *asked, "--mask", "scl", "--picture", tmp_path / "p.png")
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == f"31UES: 2 dates of {cells} (cells, each by most of its pixels)"
    assert lines[1] == "note: 1 dates of it have no mask scl, the first 2019-07-01"
    row = next(line for line in lines if line.startswith("scl  "))
    assert row.split() == [
        "scl", "5", "0.750", "0.800", "0.500", "1.000", "0.667", "0.857", "0.0", "0.0", "100.0",
    ]  # fmt: skip
    assert next(line for line in lines if line.startswith("2019-05-16")).split() == [
        "2019-05-16", "1", "2", "0.667", "0.0", "50.0",
    ]  # fmt: skip
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size == (1500, 360)
    document = json.loads(clearcube(place, *asked, "--json").out)
    assert document["masks"]["scl"]["all"]["invalid"]["producers_accuracy"] == 0.5
    both = clearcube(place, *asked, "--mask", "scl", "--mask", "scl:wide").out
    assert both.startswith("31UES: 1 dates")
    assert "note: 2 dates of it have no mask scl:wide, the first 2019-06-15" in both


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("no.json", None, ("there is no", "no.json")),
        ("bad.json", "{", ("cannot read",)),
        ("other.json", "{}", ("neither labelled cells nor",)),
        ("list.json", "[1]", ("no JSON object",)),
        ("rows.json", '{"cells": {"20190516": ["cc", "c"]}}', ("rows of letters",)),
        ("letter.json", '{"cells": {"20190516": ["cz"]}}', ("'z' of 20190516 is no label",)),
        ("date.json", '{"cells": {"May": ["c"]}}', ("no date such as",)),
        ("never.json", '{"cells": {"20200101": ["c"]}}', ("no date of", "make them first")),
        ("mute.json", '{"cells": {"20190516": ["x"]}}', ("says nothing of",)),
        ("bounds.json", '{"bounds": [1, 2], "cells": {}}', ("left, bottom, right, top",)),
        ("none.geojson", '{"type": "FeatureCollection", "features": []}', ("no feature",)),
        (
            "f.geojson",
            '{"type": "FeatureCollection", "features": [{"properties": {}, "geometry": {}}]}',
            ("feature 1 lacks",),
        ),
        (
            "g.geojson",
            '{"type": "FeatureCollection", "features": [{"properties": {"date": "20190516", '
            '"class": "clear"}, "geometry": {"type": "Polygon"}}]}',
            ("a geometry that is none",),
        ),
        ("plain_20190516.tif", "no raster", ("cannot read",)),
        ("plain.tif", "no raster", ("no date such as",)),
    ],
)
def test_bad_truth_is_one_line(
    workspace: Workspace,
    tmp_path: Path,
    clearcube: Any,
    name: str,
    content: str | None,
    words: tuple[str, ...],
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    place = workspace.settings.workspace
    said = clearcube(
        place, "validate", "masks", "--tile", "31UES", "--mask", "scl", "--truth", tmp_path / name
    )
    said.refused(*words)


def test_bad_masks_and_values_are_one_line(
    workspace: Workspace, tmp_path: Path, clearcube: Any
) -> None:
    place = workspace.settings.workspace
    file = write_raster(tmp_path / "t_20190516.tif", [[9]], 160)
    asked = ("validate", "masks", "--tile", "31UES", "--truth", file)
    make = "make it first: clearcube run cloud-mask --tile 31UES --method tsmask"
    clearcube(place, *asked, "--mask", "tsmask").refused("no mask tsmask of tile 31UES", make)
    clearcube(place, *asked, "--mask", "scl:no").refused(
        "no mask scl:no", "--encoding scl --name no"
    )
    there = (
        "no mask is called 'nosuch'; tile 31UES has scl scl:wide; found along time are combined "
    )
    clearcube(place, *asked, "--mask", "nosuch").refused(there)
    clearcube(place, *asked).refused("holds 9, which is no class", "--values")
    clearcube(place, *asked, "--values", "alcd").refused("is no alcd")
    clearcube(place, *asked, "--values", "abc").refused("abc")
    assert clearcube(place, *asked, "--values", "scl").status == 0
    clearcube(place, *asked, "--values", "scl", "--picture", tmp_path / "no" / "p.png").refused(
        "cannot write"
    )
    write_raster(tmp_path / "two" / "a_20190516.tif", [[1]], 160)
    write_raster(tmp_path / "two" / "b_2019-05-16.tif", [[1]], 160)
    with pytest.raises(RequestError, match="two rasters of 2019-05-16"):
        read_truth(tmp_path / "two")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("options", "balanced", "lost", "thick", "thin", "shadow"),
    [
        ({}, 0.895, 0.094, 0.944, 0.908, 0.380),
        ({"unclassified": "clear"}, 0.911, 0.027, 0.937, 0.823, 0.244),
    ],
)
def test_scl_on_the_real_series(
    shared: Path,
    options: dict[str, str],
    balanced: float,
    lost: float,
    thick: float,
    thin: float,
    shadow: float,
) -> None:
    """Cells labelled by eye: what Sen2Cor's classification is worth there."""
    series = shared / "s2-l2a-31UES"
    truth = read_truth(series / "photo-labels.json")
    assert len(truth.dates) == 72
    total = Tally()
    for folder in sorted((series / "sentinel-2-l2a").glob("S2_*")):
        with rasterio.open(folder / "SCL.tif") as raster:
            grid = Grid(raster.shape, raster.transform, raster.crs.to_epsg())
            classes = decode("scl", {"scl": raster.read(1)}, **options)
        labels = truth.dates[parse(folder.name.split("_")[2][:8])](grid)
        total.add(judge(labels, classes, grid, truth.kind))
    found = figures(total.table)
    assert found["judged"] == 3942
    assert found["balanced_accuracy"] == pytest.approx(balanced, abs=5e-4)
    shares = found["called_invalid"]
    assert shares["clear"] == pytest.approx(lost, abs=5e-4)
    assert shares["cloud"] == pytest.approx(thick, abs=5e-4)
    assert shares["thin_cloud"] == pytest.approx(thin, abs=5e-4)
    assert shares["cloud_shadow"] == pytest.approx(shadow, abs=5e-4)
