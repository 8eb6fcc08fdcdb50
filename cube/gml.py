"""ESA's cloud polygons (MSK_CLOUDS_B00.gml, before processing baseline 04.00) -> `classi` bits."""

from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from rasterio.warp import transform_geom

from cube.errors import MaskError

BIT_OF_TYPE = {"OPAQUE": 0, "CIRRUS": 1}
"""Bit of the `classi` encoding for each ``maskType``."""


def rasterise_clouds(
    text: str | bytes, grid: GeoBox, source: str = "cloud mask"
) -> NDArray[np.uint8]:
    """GML text -> (y, x) uint8 `classi` bits on the grid: bit 0 opaque, bit 1 cirrus.

    A pixel gets the bit of every polygon that its centre lies in; holes stay free. Polygons
    without a CRS are taken to be in that of the grid, as the files of empty or early masks are;
    others are reprojected where theirs differs. A file without polygons says that there is no
    cloud: all zero. `source` names the file in messages. ``MaskError`` where the text is no such
    mask or a polygon is broken.
    """
    root = _parsed(text, source)
    default = _crs_of(root.find(".//{*}Envelope"), None, source)
    shapes: dict[str, list[dict[str, Any]]] = {name: [] for name in BIT_OF_TYPE}
    for feature in root.iterfind(".//{*}MaskFeature"):
        kind = (feature.findtext("{*}maskType") or "").strip()
        if kind not in shapes:
            known = " or ".join(BIT_OF_TYPE)
            raise MaskError(f"{source}: maskType is {kind!r}, not {known}; it cannot be read")
        for polygon in feature.iterfind(".//{*}Polygon"):
            crs = _crs_of(polygon, default, source)
            shapes[kind].append(_on_grid(_geometry(polygon, source), crs, grid))
    out = np.zeros(grid.shape, dtype="uint8")
    for kind, bit in BIT_OF_TYPE.items():
        out |= _burnt(shapes[kind], grid) << np.uint8(bit)
    return out


def _parsed(text: str | bytes, source: str) -> Any:
    try:
        root = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise MaskError(f"{source}: not readable as XML ({error}); fetch it again") from error
    if root.tag.rpartition("}")[2] != "Mask":
        raise MaskError(f"{source}: its root is {root.tag!r}, not eop:Mask; no cloud mask")
    return root


def _crs_of(element: Any, default: CRS | None, source: str) -> CRS | None:
    """``srsName``, e.g. ``urn:ogc:def:crs:EPSG:8.7:32707`` -> CRS."""
    name = "" if element is None else element.get("srsName", "").strip()
    if not name:
        return default
    code = name.replace("/", ":").rpartition(":")[2]
    try:
        return CRS(f"EPSG:{int(code)}")
    except ValueError as error:
        raise MaskError(f"{source}: srsName {name!r} is no CRS that is known") from error


def _geometry(polygon: Any, source: str) -> dict[str, Any]:
    exterior = polygon.find("{*}exterior")
    if exterior is None:
        raise MaskError(f"{source}: a polygon has no exterior; fetch the file again")
    rings = [exterior, *polygon.iterfind("{*}interior")]
    return {"type": "Polygon", "coordinates": [_ring(each, source) for each in rings]}


def _ring(element: Any, source: str) -> list[tuple[float, float]]:
    positions = element.find(".//{*}posList")
    try:
        numbers = [float(each) for each in (positions.text or "").split()]
        step = int(positions.get("srsDimension", "2"))
    except (AttributeError, ValueError) as error:
        raise MaskError(f"{source}: a posList holds no numbers; fetch the file again") from error
    if step not in (2, 3) or len(numbers) % step or len(numbers) < 4 * step:
        raise MaskError(
            f"{source}: a posList of {len(numbers)} numbers in {step} dimensions is no ring"
        )
    return [(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), step)]


def _on_grid(geometry: dict[str, Any], crs: CRS | None, grid: GeoBox) -> dict[str, Any]:
    if crs is None or grid.crs is None or crs == grid.crs:
        return geometry
    moved: dict[str, Any] = transform_geom(str(crs), str(grid.crs), geometry)
    return moved


def _burnt(shapes: list[dict[str, Any]], grid: GeoBox) -> NDArray[np.uint8]:
    if not shapes:
        return np.zeros(grid.shape, dtype="uint8")
    burnt: NDArray[np.uint8] = rasterize(
        shapes, out_shape=tuple(grid.shape), transform=grid.affine, fill=0, dtype="uint8"
    )
    return burnt
