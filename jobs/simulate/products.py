"""Simulated scenes written as whole products: SAFE L2A and L1C, MUSCATE L2A, as folder or zip.

Names, folders, rasters and metadata are those of genuine products. The rasters cover part of a
tile, and the metadata say so.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.transform import Affine, from_origin

from catalog.granule_text import tile_xml
from catalog.muscate_text import (
    AEROSOL_QUANTIFICATION,
    R1,
    R2,
    WATER_VAPOUR_QUANTIFICATION,
    jpi_xml,
    mtd_xml,
)
from catalog.product_text import Delivery, datastrip_name, file_stem, granule_name, muscate_name
from catalog.product_text import safe_name as name_of_safe
from catalog.safe_text import clouds_gml, manifest, product_xml
from cube.bands import BANDS
from cube.landscape import Landscape, coarsen
from cube.opinions import maja_masks
from cube.testing import Scene

QUANTIFICATION = 10000
"""Stored units in a reflectance of 1, in both families."""

MUSCATE_NODATA = -10000

# Path reflectance and two-way transmittance of a clear atmosphere at each band of BANDS but cirrus,
# close to 6S for a continental aerosol of optical thickness 0.1; rough is enough for a TOA product.
_PATH = (0.105, 0.075, 0.045, 0.025, 0.021, 0.018, 0.015, 0.012, 0.010, 0.008, 0.002, 0.001)
_TRANSMITTANCE = (0.76, 0.81, 0.86, 0.90, 0.91, 0.91, 0.93, 0.93, 0.95, 0.55, 0.95, 0.94)

_ESA = {band.name: band.esa for band in BANDS}
_RESOLUTION = {band.name: band.resolution for band in BANDS}

# Element names of Image_Content_QI by the SCL classes that they count.
_COUNTED = {
    "NODATA_PIXEL_PERCENTAGE": (0,),
    "SATURATED_DEFECTIVE_PIXEL_PERCENTAGE": (1,),
    "DARK_FEATURES_PERCENTAGE": (2,),
    "CLOUD_SHADOW_PERCENTAGE": (3,),
    "VEGETATION_PERCENTAGE": (4,),
    "NOT_VEGETATED_PERCENTAGE": (5,),
    "WATER_PERCENTAGE": (6,),
    "UNCLASSIFIED_PERCENTAGE": (7,),
    "MEDIUM_PROBA_CLOUDS_PERCENTAGE": (8,),
    "HIGH_PROBA_CLOUDS_PERCENTAGE": (9,),
    "THIN_CIRRUS_PERCENTAGE": (10,),
    "SNOW_ICE_PERCENTAGE": (11,),
    "CLOUDY_PIXEL_PERCENTAGE": (8, 9, 10),
}


def write_safe_l2a(folder: Path, delivery: Delivery, scene: Scene, *, zipped: bool = False) -> Path:
    """Scene -> a SAFE L2A product in a folder; returns the path of the folder or zip."""
    delivery = replace(delivery, percentages=percentages(scene.scl))
    product = folder / name_of_safe(delivery, "L2A")
    granule = product / "GRANULE" / granule_name(delivery, "L2A")
    stem, suffix = file_stem(delivery), delivery.extension
    images = granule / "IMG_DATA"
    for name, reflectance in scene.seen.items():
        step = _RESOLUTION[name]
        stored = encode(reflectance, observed_at(scene, step), delivery.offset)
        path = images / f"R{step}m" / f"{stem}_{_ESA[name]}_{step}m.{suffix}"
        write_raster(path, stored, delivery, step)
    for step in (10, 20):
        for kind, values in (("AOT", _aerosol(scene)), ("WVP", _vapour(scene))):
            stored = coarsen(values, step // 10).round().astype(np.uint16)
            stored[~observed_at(scene, step)] = 0
            path = images / f"R{step}m" / f"{stem}_{kind}_{step}m.{suffix}"
            write_raster(path, stored, delivery, step)
    write_raster(images / "R20m" / f"{stem}_SCL_20m.{suffix}", scene.scl, delivery, 20)
    picture = true_colour(scene)
    write_raster(images / "R10m" / f"{stem}_TCI_10m.{suffix}", picture, delivery, 10)
    quality = granule / "QI_DATA"
    write_raster(quality / f"MSK_CLDPRB_20m.{suffix}", scene.probability, delivery, 20)
    snow = np.zeros_like(scene.probability)
    write_raster(quality / f"MSK_SNWPRB_20m.{suffix}", snow, delivery, 20)
    _finish_safe(product, delivery, "L2A", scene, picture)
    return zip_product(product) if zipped else product


def write_safe_l1c(folder: Path, delivery: Delivery, scene: Scene, *, zipped: bool = False) -> Path:
    """Scene with all bands -> a SAFE L1C product (top of atmosphere); returns its path."""
    cloudy = np.where(scene.scl == 0, 0, np.where((scene.scl >= 8) & (scene.scl <= 10), 9, 4))
    delivery = replace(delivery, percentages=percentages(cloudy.astype(np.uint8)))
    product = folder / name_of_safe(delivery, "L1C")
    granule = product / "GRANULE" / granule_name(delivery, "L1C")
    stem, suffix = file_stem(delivery), delivery.extension
    images = granule / "IMG_DATA"
    for name, reflectance in top_of_atmosphere(scene).items():
        step = _RESOLUTION[name]
        stored = encode(reflectance, observed_at(scene, step), delivery.offset)
        write_raster(images / f"{stem}_{_ESA[name]}.{suffix}", stored, delivery, step)
    picture = true_colour(scene)
    write_raster(images / f"{stem}_TCI.{suffix}", picture, delivery, 10)
    _finish_safe(product, delivery, "L1C", scene, picture)
    return zip_product(product) if zipped else product


def write_muscate(
    folder: Path,
    delivery: Delivery,
    landscape: Landscape,
    scene: Scene,
    *,
    version: str = "1-0",
    malformed: int = 0,
    zipped: bool = False,
) -> Path:
    """Scene -> a MUSCATE L2A product in a folder; returns the path of the folder or zip.

    FRE is the scene's reflectance; SRE, before the correction of slopes, is 2 % darker.
    ``malformed`` pixels of CLM contradict their summary bits.
    """
    delivery = replace(delivery, percentages=percentages(scene.scl))
    name = muscate_name(delivery, version)
    product = folder / name
    by_short = {band.muscate: band.name for band in BANDS}
    for group, step, bands in (("R1", 10, R1), ("R2", 20, R2)):
        observed = observed_at(scene, step)
        for short in bands:
            reflectance = scene.seen[by_short[short]]
            for kind, factor in (("SRE", 0.98), ("FRE", 1.0)):
                stored = np.clip((reflectance * factor * QUANTIFICATION).round(), -9999, 32767)
                stored[~observed] = MUSCATE_NODATA
                path = product / f"{name}_{kind}_{short}.tif"
                write_raster(path, stored.astype(np.int16), delivery, step, nodata=MUSCATE_NODATA)
        atmosphere = np.stack(
            [
                coarsen(_vapour(scene), step // 10) / 1000 * WATER_VAPOUR_QUANTIFICATION,
                coarsen(_aerosol(scene), step // 10) / 1000 * AEROSOL_QUANTIFICATION,
            ]
        )
        atmosphere = np.clip(atmosphere.round(), 1, 255).astype(np.uint8)
        atmosphere[:, ~observed] = 0
        write_raster(product / f"{name}_ATB_{group}.tif", atmosphere, delivery, step)
        masks = maja_masks(landscape, scene.sky, scene.observed, step // 10, malformed=malformed)
        for kind in ("CLM", "MG2", "EDG", "SAT", "IAB"):
            values: NDArray[np.uint8] = getattr(masks, kind.lower())
            path = product / "MASKS" / f"{name}_{kind}_{group}.tif"
            write_raster(path, values, delivery, step)
    picture = product / f"{name}_QKL_ALL.jpg"
    write_raster(picture, true_colour(scene), delivery, 10)
    _write_text(product / f"{name}_MTD_ALL.xml", mtd_xml(delivery, version))
    _write_text(product / "DATA" / f"{name}_JPI_ALL.xml", jpi_xml(delivery, version))
    return zip_product(product) if zipped else product


def encode(
    reflectance: NDArray[np.float32], observed: NDArray[np.bool_], offset: int
) -> NDArray[np.uint16]:
    """(y, x) float reflectance -> (y, x) uint16 as ESA stores it: 0 is nodata, 65535 saturated.

    reflectance = (stored + offset) / 10000; without an offset what is negative is stored as 1.
    """
    stored = np.clip((reflectance * QUANTIFICATION).round() - offset, 1, 65534)
    stored[~observed] = 0
    return stored.astype(np.uint16)


def observed_at(scene: Scene, step: int) -> NDArray[np.bool_]:
    """Scene, metres -> (y, x) bool at that resolution, True where all of the pixel was seen."""
    whole: NDArray[np.bool_] = coarsen(scene.observed.astype(np.float32), step // 10) > 0.99
    return whole


def top_of_atmosphere(scene: Scene) -> dict[str, NDArray[np.float32]]:
    """Scene of surface reflectances -> {band: (y, x) float32 TOA reflectance}, cirrus included."""
    surface = [band.name for band in BANDS if band.name != "cirrus"]
    seen = {}
    for name, path, transmittance in zip(surface, _PATH, _TRANSMITTANCE, strict=True):
        if name in scene.seen:
            seen[name] = np.float32(path) + np.float32(transmittance) * scene.seen[name]
    # At 1.38 µm vapour hides the ground: only what floats above it is bright.
    seen["cirrus"] = np.float32(0.0015) + np.float32(0.25) * coarsen(scene.sky.high, 6)
    return seen


def percentages(scl: NDArray[np.uint8]) -> dict[str, float]:
    """(y, x) uint8 SCL -> percent by the names of the metadata; nodata counts only for its own."""
    counts = np.bincount(scl.ravel(), minlength=12)
    seen = max(int(counts[1:].sum()), 1)
    found = {
        name: 100 * float(sum(counts[code] for code in codes)) / seen
        for name, codes in _COUNTED.items()
    }
    found["NODATA_PIXEL_PERCENTAGE"] = 100 * float(counts[0]) / scl.size
    return found


def true_colour(scene: Scene) -> NDArray[np.uint8]:
    """Scene -> (band, y, x) uint8 red, green, blue; 0 is nodata, 255 a reflectance of 0.32."""
    stacked = np.stack([scene.seen[name] for name in ("red", "green", "blue")])
    picture: NDArray[np.uint8] = np.clip(stacked * (255 / 0.32), 1, 255).astype(np.uint8)
    picture[:, ~scene.observed] = 0
    return picture


def write_raster(
    path: Path,
    values: NDArray[np.generic],
    delivery: Delivery,
    step: int,
    nodata: float | None = None,
) -> None:
    """(y, x) or (band, y, x) -> a lossless JP2, a GeoTIFF or a JPEG at the delivery's corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stacked = values if values.ndim == 3 else values[None]
    profile = {
        "count": stacked.shape[0],
        "height": stacked.shape[1],
        "width": stacked.shape[2],
        "dtype": stacked.dtype.name,
        "crs": f"EPSG:{delivery.epsg}",
        "transform": transform_of(delivery, step),
    }
    if path.suffix == ".jp2":
        options = {"QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO"}
        with rasterio.open(path, "w", driver="JP2OpenJPEG", **profile, **options) as target:
            target.write(stacked)
    elif path.suffix == ".jpg":
        with rasterio.open(path, "w", driver="JPEG", **profile) as target:
            target.write(stacked)
    else:
        with rasterio.open(
            path, "w", driver="GTiff", compress="deflate", zlevel=1, nodata=nodata, **profile
        ) as target:
            target.write(stacked)
    # what GDAL keeps beside a format that cannot hold it is no part of a genuine product
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)


def transform_of(delivery: Delivery, step: int) -> Affine:
    """Delivery, metres -> transform of its rasters."""
    return from_origin(delivery.west, delivery.north, step, step)


def zip_product(product: Path) -> Path:
    """Product folder -> zip beside it that holds the one folder; the folder is removed."""
    target = product.with_name(product.name.removesuffix(".SAFE") + ".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(product.rglob("*")):
            archive.write(path, path.relative_to(product.parent))
    rmtree(product)
    return target


def _finish_safe(
    product: Path, delivery: Delivery, level: str, scene: Scene, picture: NDArray[np.uint8]
) -> None:
    """Write what both levels have: cloud masks, preview and all XML, with rasters in place."""
    granule = product / "GRANULE" / granule_name(delivery, level)
    quality = granule / "QI_DATA"
    preview = quality / f"{file_stem(delivery)}_PVI.{delivery.extension}"
    write_raster(preview, picture[:, ::4, ::4], delivery, 40)
    if delivery.offset:
        classi = _classi(scene)
        write_raster(quality / f"MSK_CLASSI_B00.{delivery.extension}", classi, delivery, 60)
    else:
        text = clouds_gml(delivery, _cloud_rings(scene, delivery))
        _write_text(quality / "MSK_CLOUDS_B00.gml", text)
    datastrip = product / "DATASTRIP" / datastrip_name(delivery)
    (datastrip / "QI_DATA").mkdir(parents=True, exist_ok=True)
    images = sorted(
        path.relative_to(product).with_suffix("").as_posix()
        for path in (granule / "IMG_DATA").rglob("*")
        if path.is_file()
    )
    _write_text(product / f"MTD_MSI{level}.xml", product_xml(delivery, level, images))
    masks = [
        (path.name[:10], path.relative_to(product).as_posix(), None)
        for path in sorted(quality.glob("MSK_*"))
    ]
    _write_text(granule / "MTD_TL.xml", tile_xml(delivery, level, masks))
    _write_text(product / "manifest.safe", manifest(delivery, level, _listed(product)))


def _listed(product: Path) -> Iterator[tuple[str, int, str]]:
    for path in sorted(product.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            yield path.relative_to(product).as_posix(), len(content), digest


def _classi(scene: Scene) -> NDArray[np.uint8]:
    """Scene -> (opaque, cirrus, snow; y, x) uint8 0 or 1 at 60 m, as baselines from 04 write."""
    opacity, high = coarsen(scene.sky.opacity, 6), coarsen(scene.sky.high, 6)
    observed = observed_at(scene, 60)
    opaque = (opacity >= 0.4) & observed
    cirrus = (high >= 0.12) & ~opaque & observed
    return np.stack([opaque, cirrus, np.zeros_like(opaque)]).astype(np.uint8)


def _cloud_rings(scene: Scene, delivery: Delivery) -> list[tuple[str, list[float]]]:
    """Scene -> outlines of the clouds at 60 m: kind, eastings and northings in turn."""
    opaque, cirrus, _ = _classi(scene)
    rings = []
    for kind, where in (("OPAQUE", opaque), ("CIRRUS", cirrus)):
        for outline, value in shapes(where, transform=transform_of(delivery, 60)):
            if not value:
                continue
            positions = [number for point in outline["coordinates"][0] for number in point]
            rings.append((kind, positions))
    return rings


def _aerosol(scene: Scene) -> NDArray[np.float32]:
    """Scene -> (y, x) aerosol optical thickness times 1000, hazier near clouds."""
    rows, columns = scene.classes.shape
    slope = np.linspace(-20, 20, columns, dtype=np.float32)[None, :]
    thickness: NDArray[np.float32] = np.broadcast_to(140 + slope, (rows, columns))
    return thickness + np.float32(250) * scene.sky.opacity


def _vapour(scene: Scene) -> NDArray[np.float32]:
    """Scene -> (y, x) water vapour, cm times 1000."""
    rows, columns = scene.classes.shape
    slope = np.linspace(0, 200, rows, dtype=np.float32)[:, None]
    return 1800 + slope * np.ones((1, columns), dtype=np.float32)


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
