"""A stack -> one NetCDF-4 file that suits the reading of a pixel's series (CF-1.11).

The file is written by h5netcdf, which is small, pure Python over h5py, and what xarray reads it with.
"""

import io
import os
from collections.abc import Callable, Iterator
from math import isqrt
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import numpy.typing as npt
from odc.geo.xr import xr_coords

from cube.classes import CLASSES
from cube.errors import CubeError, StoreError
from cube.stack import Layer, Stack, Window, windows

CHUNK_BYTES = 1 << 20
"""Bytes of a chunk before compression: all dates of as many pixels, so that a pixel's series is one
read of some hundred kB, and a date of the whole grid still some thousand."""

CHUNK_SIDES = (16, 256)
"""Least and largest side of a chunk, pixels."""

BLOCK_BYTES = 128 << 20
"""Bytes of pixels held at once: all dates of a block. Reading takes about as much again."""

BLOCK_SIDES = (256, 2048)
"""Least and largest side of a block: smaller than a chunk of the cube, each would be read often."""

DEFLATE = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Filters that every reader of NetCDF-4 has; a higher level makes reflectances hardly smaller."""

Advance = Callable[[str], None]
"""Called with the name of each piece that is written."""

STANDARD_NAMES = {
    "l2a": "surface_bidirectional_reflectance",
    "maja": "surface_bidirectional_reflectance",
    "l1c": "toa_bidirectional_reflectance",
}
"""Level of a stack's attributes -> standard name of its bands (CF standard name table)."""


def write_netcdf(path: Path, stack: Stack, advance: Advance = lambda _piece: None) -> None:
    """Stack -> NetCDF-4 file at ``path``: variables ``(time, y, x)`` as stored, ``spatial_ref``.

    Reflectances are int16 with ``scale_factor`` and ``_FillValue``, classes uint8 with
    ``flag_values`` and ``flag_meanings``. The same pixels give the same bytes. ``StoreError`` where
    the disk refuses, with a part of the file left; errors of reading pass.
    """
    try:
        with _File(path, "w+") as stream:
            with h5netcdf.File(stream, "w") as file:
                _describe(file, stack)
                for layer in stack.layers:
                    variable = _variable(file, stack, layer)
                    for window in blocks(stack, layer):
                        pixels = layer.read(slice(0, len(stack.times)), window)
                        variable[(slice(None), *window)] = pixels
                        stream.require()
                        advance(f"{layer.name} {window[0].start} {window[1].start}")
            stream.require()
            os.fsync(stream.fileno())
    except CubeError:
        raise  # of the layers: they could not be read
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def count_pieces(stack: Stack) -> int:
    """Pieces in which a stack is written."""
    return sum(1 for layer in stack.layers for _ in blocks(stack, layer))


def blocks(stack: Stack, layer: Layer) -> Iterator[Window]:
    """Windows of which all dates are held at once: whole chunks."""
    side = _side(BLOCK_BYTES, stack, layer, BLOCK_SIDES)
    return windows(stack.geobox.shape, side, side)


class _File(io.FileIO):
    """A file whose first refusal is kept for :meth:`require`, and passed over by what follows.

    HDF5 cannot close a file to whose disk it cannot write: it stays open, and the process ends in a
    fault of memory. So it is told that all went well, and its file is given up.
    """

    _refusal: OSError | None = None

    def require(self) -> None:
        """Raise what the system refused, if it did."""
        if self._refusal is not None:
            raise self._refusal

    def write(self, content: Any, /) -> int:
        """Write all of it, or none where something was refused before."""
        view = memoryview(content).cast("B")
        done = 0
        try:
            while self._refusal is None and done < len(view):
                done += super().write(view[done:])
        except OSError as error:
            self._refusal = error
        if self._refusal is not None:
            self.seek(len(view) - done, io.SEEK_CUR)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Change the size, as the system allows."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._refusal = self._refusal or error
            return size or 0


def _side(most: int, stack: Stack, layer: Layer, sides: tuple[int, int]) -> int:
    """Largest power of two whose square holds all dates of a layer in so many bytes."""
    pixels = most // (len(stack.times) * np.dtype(layer.dtype).itemsize)
    power = 1 << max(0, isqrt(pixels).bit_length() - 1)
    return min(max(power, sides[0]), sides[1])


def _describe(file: h5netcdf.File, stack: Stack) -> None:
    height, width = stack.geobox.shape
    file.dimensions = {"time": len(stack.times), "y": height, "x": width}
    # xarray then takes the scenes as a coordinate of time, not as data.
    about = {"Conventions": "CF-1.11", "title": stack.title, "coordinates": "scenes"}
    file.attrs.update({**about, **stack.attributes})
    milliseconds = np.array(stack.times, "datetime64[ms]").astype(np.int64)
    time = file.create_variable("time", ("time",), np.int64, data=milliseconds)
    time.attrs.update(
        {
            "standard_name": "time",
            "long_name": "start of the acquisition, UTC",
            "axis": "T",
            "units": "milliseconds since 1970-01-01",
            "calendar": "proleptic_gregorian",
        }
    )
    for name, coordinate in xr_coords(stack.geobox, crs_coord_name="spatial_ref").items():
        values: npt.NDArray[Any] = np.asarray(coordinate.values)
        held = file.create_variable(str(name), coordinate.dims, values.dtype, data=values)
        held.attrs.update({str(key): value for key, value in coordinate.attrs.items()})
        if coordinate.dims:
            held.attrs["axis"] = str(name).upper()
            held.attrs["standard_name"] = f"projection_{name}_coordinate"
    scenes = file.create_variable("scenes", ("time",), h5py.string_dtype())
    scenes[...] = np.array(stack.scenes, object)
    scenes.attrs["long_name"] = "scenes that the date was made from"


def _variable(file: h5netcdf.File, stack: Stack, layer: Layer) -> Any:
    side = _side(CHUNK_BYTES, stack, layer, CHUNK_SIDES)
    chunk = (len(stack.times), *(min(side, whole) for whole in stack.geobox.shape))
    is_band = layer.scale is not None
    variable = file.create_variable(
        layer.name,
        ("time", "y", "x"),
        layer.dtype,
        # Classes have a code for what was not observed: as a fill value it would make them floats.
        fillvalue=layer.nodata if is_band else None,
        chunks=chunk,
        **DEFLATE,
    )
    attributes: dict[str, Any] = {"long_name": layer.title, "grid_mapping": "spatial_ref"}
    if is_band:
        attributes |= {"units": "1", "scale_factor": layer.scale, "add_offset": 0.0}
        name = STANDARD_NAMES.get(stack.attributes.get("level", ""))
        attributes |= {"standard_name": name} if name else {}
        if layer.wavelength is not None:
            attributes |= {"wavelength": layer.wavelength, "wavelength_units": "micrometre"}
    else:
        attributes["flag_values"] = np.array([each.code for each in CLASSES], np.uint8)
        attributes["flag_meanings"] = " ".join(each.name for each in CLASSES)
    variable.attrs.update(attributes)
    return variable
