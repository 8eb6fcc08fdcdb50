"""A stack -> ENVI rasters, one a layer with a band for each date, for programs that read no NetCDF."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import rasterio

from cube.classes import CLASSES
from cube.errors import CubeError, StoreError
from cube.files import sync_file
from cube.rasters import GDAL_ERRORS, strips
from cube.stack import Layer, Stack

Advance = Callable[[str], None]
"""Called with the name of each piece that is written."""


def write_envi(
    folder: Path, stack: Stack, advance: Advance = lambda _piece: None
) -> dict[str, list[Path]]:
    """Stack -> ENVI rasters in ``folder``, by name of layer: ``<stack>_<layer>.img`` and ``.hdr``.

    Interleaved by band (BSQ), a band a date; int16 reflectances with gain and nodata, uint8 classes
    with their names. ``StoreError`` where the disk refuses or has no room for all of it, which is
    known before; errors of reading pass.
    """
    _require_room(folder, sum(_bytes(stack, layer) for layer in stack.layers))
    return {layer.name: _write_layer(folder, stack, layer, advance) for layer in stack.layers}


def count_pieces(stack: Stack) -> int:
    """Pieces in which a stack is written."""
    return len(stack.layers) * len(stack.times)


def _require_room(folder: Path, size: int) -> None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from error
    if free < size:
        raise StoreError(
            f"these rasters take {size / 1e9:.1f} GB, the disk has room for {free / 1e9:.1f} GB; "
            "choose fewer bands or dates, or another folder"
        )


def _bytes(stack: Stack, layer: Layer) -> int:
    height, width = stack.geobox.shape
    size: int = len(stack.times) * height * width * np.dtype(layer.dtype).itemsize
    return size


def _write_layer(folder: Path, stack: Stack, layer: Layer, advance: Advance) -> list[Path]:
    file = folder / f"{stack.name}_{layer.name}.img"
    header = file.with_suffix(".hdr")
    try:
        _write_pixels(file, stack, layer, advance)
        header.write_text(_completed(header.read_text("utf-8"), stack, layer), "utf-8")
        for each in (file, header):
            sync_file(each)
    except CubeError:
        raise  # of the layer: it could not be read
    # GDAL has no words for a raster of which it cannot write the first byte.
    except (OSError, SystemError, *GDAL_ERRORS) as error:
        reason = str(getattr(error, "strerror", None) or error.__cause__ or error)
        raise StoreError(f"cannot write {file}: {reason}") from error
    return [file, header]


def _write_pixels(file: Path, stack: Stack, layer: Layer, advance: Advance) -> None:
    height, width = stack.geobox.shape
    profile = {
        "driver": "ENVI",
        "height": height,
        "width": width,
        "count": len(stack.times),
        "dtype": layer.dtype,
        "crs": str(stack.geobox.crs),
        "transform": stack.geobox.affine,
        "nodata": layer.nodata,
        "INTERLEAVE": "BSQ",
    }
    # All that GDAL would put into a file beside is in the header, which it must see beside the raster:
    # loaders of remote files have it look at none.
    with (
        rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_DISABLE_READDIR_ON_OPEN="FALSE"),
        rasterio.open(file, "w", **profile) as raster,
    ):
        for index, day in enumerate(stack.days()):
            for first, last in strips(height):
                window = slice(first, last), slice(0, width)
                pixels = layer.read(slice(index, index + 1), window)[0]
                raster.write(pixels, index + 1, window=((first, last), (0, width)))
            raster.set_band_description(index + 1, day)
            advance(f"{layer.name} {day}")
        if layer.scale is not None:
            raster.scales = (layer.scale,) * len(stack.times)
    # What GDAL writes only as it closes a file may fail for want of room without an error.
    if file.stat().st_size < _bytes(stack, layer):
        raise OSError("the disk took only a part of it")


def _completed(header: str, stack: Stack, layer: Layer) -> str:
    """GDAL's header -> with a description that is no path, and the fields that GDAL leaves out."""
    about = f"description = {{\n{stack.title}, {layer.title}}}"
    described = re.sub(
        r"description = \{.*?\}(?=\nsamples)", lambda _: about, header, count=1, flags=re.DOTALL
    )
    if layer.scale is None:
        described = described.replace("ENVI Standard", "ENVI Classification", 1)
    return described + "".join(f"{line}\n" for line in _fields(stack, layer))


def _fields(stack: Stack, layer: Layer) -> Iterator[str]:
    if layer.wavelength is not None:
        yield f"wavelength = {_listed(f'{layer.wavelength:g}' for _ in stack.times)}"
        yield "wavelength units = Micrometers"
    if layer.scale is not None:
        yield f"reflectance scale factor = {1 / layer.scale:g}"
    else:
        yield f"classes = {len(CLASSES)}"
        yield f"class names = {_listed(each.name for each in CLASSES)}"
        colours = (str(part) for each in CLASSES for part in each.colour[:3])
        yield f"class lookup = {_listed(colours)}"


def _listed(values: Iterator[str]) -> str:
    return "{" + ", ".join(values) + "}"
