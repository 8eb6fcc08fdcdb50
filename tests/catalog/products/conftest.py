"""Whole products in text, with a few bytes in place of each raster."""

import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog.granule_text import tile_xml
from catalog.muscate_text import jpi_xml, mtd_xml
from catalog.product_text import (
    SPECTRAL_BANDS,
    Delivery,
    file_stem,
    granule_name,
    muscate_name,
    safe_name,
)
from catalog.safe_text import clouds_gml, product_xml

TEN = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
RASTER = b"raster"


def delivery(**changes) -> Delivery:
    usual = {
        "platform": "S2A",
        "sensed": datetime(2024, 1, 20, 10, 53, 41, 24000, tzinfo=UTC),
        "strip_sensed": datetime(2024, 1, 20, 10, 54, 33, tzinfo=UTC),
        "tile_sensed": datetime(2024, 1, 20, 10, 58, 50, 500000, tzinfo=UTC),
        "generated": datetime(2024, 1, 20, 12, 52, 44, tzinfo=UTC),
        "baseline": "05.10",
        "relative_orbit": 51,
        "absolute_orbit": 44807,
        "tile": "31TCJ",
        "epsg": 32631,
        "west": 300000,
        "north": 4900020,
        "rows": 120,
        "columns": 120,
        "sun_zenith": 65.5,
        "sun_azimuth": 162.5,
        "view_zenith": 3.0,
        "view_azimuth": 196.0,
        "footprint": ((0.5, 44.2), (0.5, 44.1), (0.6, 44.1), (0.6, 44.2)),
        "corners": ((0.5, 44.2), (0.6, 44.2), (0.6, 44.1), (0.5, 44.1), (0.55, 44.15)),
        "percentages": {"CLOUDY_PIXEL_PERCENTAGE": 12.5},
    }
    return Delivery(**{**usual, **changes})


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_safe(parent: Path, what: Delivery, level: str = "L2A") -> Path:
    root = parent / safe_name(what, level)
    granule, stem = f"GRANULE/{granule_name(what, level)}", file_stem(what)
    if level == "L1C":
        images = [f"{granule}/IMG_DATA/{stem}_{band.esa}" for band in SPECTRAL_BANDS]
    else:
        images = [
            f"{granule}/IMG_DATA/R{metres}m/{stem}_{band.esa}_{metres}m"
            for band in SPECTRAL_BANDS
            for metres in (10, 20, 60)
            if band.resolution <= metres and band.esa != "B10"
        ]
        images += [f"{granule}/IMG_DATA/R20m/{stem}_{name}_20m" for name in ("SCL", "AOT", "WVP")]
    for image in images:
        put(root / f"{image}.{what.extension}", RASTER)
    put(root / f"MTD_MSI{level}.xml", product_xml(what, level, images))
    put(root / granule / "MTD_TL.xml", tile_xml(what, level, []))
    if float(what.baseline) >= 4:
        put(root / granule / "QI_DATA/MSK_CLASSI_B00.jp2", RASTER)
    else:
        put(root / granule / "QI_DATA/MSK_CLOUDS_B00.gml", clouds_gml(what, []))
    return root


def write_muscate(parent: Path, what: Delivery, reflectances=("FRE", "SRE"), valid=True) -> Path:
    name = muscate_name(what)
    root = parent / name
    put(root / f"{name}_MTD_ALL.xml", mtd_xml(what))
    put(root / f"DATA/{name}_JPI_ALL.xml", jpi_xml(what, valid=valid))
    for kind in reflectances:
        for band in TEN:
            put(root / f"{name}_{kind}_{band}.tif", RASTER)
    for group in ("R1", "R2"):
        put(root / f"{name}_ATB_{group}.tif", RASTER)
        for mask in ("CLM", "MG2", "EDG", "SAT", "IAB"):
            put(root / f"MASKS/{name}_{mask}_{group}.tif", RASTER)
    return root


def zipped(folder: Path, target: Path | None = None) -> Path:
    """Zip of a folder, which lies in it under its own name."""
    target = target or folder.with_name(f"{folder.name.removesuffix('.SAFE')}.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
    return target


@pytest.fixture
def safe(tmp_path) -> Callable[..., Path]:
    """Write a SAFE: ``safe(level="L1C", baseline="02.14")``."""
    return lambda level="L2A", **changes: write_safe(tmp_path, delivery(**changes), level)


@pytest.fixture
def muscate(tmp_path) -> Callable[..., Path]:
    """Write a MUSCATE product: ``muscate(reflectances=("SRE",))``."""

    def write(reflectances=("FRE", "SRE"), valid=True, **changes) -> Path:
        return write_muscate(tmp_path, delivery(**changes), reflectances, valid)

    return write


@pytest.fixture
def as_zip() -> Callable[..., Path]:
    """Zip a folder: ``as_zip(folder)``; the folder is then removed."""

    def pack(folder: Path, target: Path | None = None) -> Path:
        archive = zipped(folder, target)
        shutil.rmtree(folder)
        return archive

    return pack
