"""The Zarr cube of a tile: create, stage a date, commit it, open, read a block.

A cube is one Zarr v3 store whose root metadata holds the consolidated metadata of all groups *and*
the list of dates: replacing that one file is the commit (see DESIGN.md). Slots of the time axis are
only ever added; a reprocessed date takes a new slot and its old one is marked not valid.
"""

import contextlib
import copy
import fcntl
import functools
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from odc.geo.xr import xr_coords
from zarr.abc.store import Store
from zarr.storage import LocalStore, MemoryStore, StorePath

from cube.errors import StoreError
from cube.spec import DateEntry as DateEntry
from cube.spec import Spec as Spec
from cube.spec import entry_from_json, spec_from_json, spec_to_json
from cube.variables import Variable

FORMAT = 1
"""Version of the layout of our attributes; a store of a newer one is refused."""

COORDINATE_CHUNK = 4096
"""Dates in one chunk of ``time`` and ``valid``: decades of one tile in one file."""

BLOSC: dict[str, Any] = {"cname": "zstd", "clevel": 3, "shuffle": "shuffle"}
"""Blosc zstd 3 with byte shuffle: the best ratio at full reading speed of those tried on int16."""

CODECS = {
    "codec_pipeline.path": "zarrs.ZarrsCodecPipeline",
    # One pool only: dask fills the cores with processes.
    "threading.max_workers": 1,
    "async.concurrency": 4,
}
"""zarr-python's pipeline takes twice the processor time of zarrs for sharded arrays."""

Array = npt.NDArray[Any]


class Cube:
    """A committed state of a store: what its root metadata said when it was opened."""

    def __init__(self, path: Path, root: dict[str, Any]) -> None:
        self.path = path
        self._root = root
        self._arrays: dict[str, zarr.Array[Any]] = {}
        about = root["attributes"]["clearcube"]
        self.spec = spec_from_json(about["spec"])
        self.dates = tuple(entry_from_json(entry) for entry in about["dates"])

    @property
    def valid_dates(self) -> tuple[DateEntry, ...]:
        """Dates in force, in order of time."""
        return tuple(sorted((d for d in self.dates if d.valid), key=lambda d: (d.time, d.slot)))

    def read(
        self, group: str, variable: str, slots: Sequence[int], window: tuple[slice, slice]
    ) -> Array:
        """Slots and a window in pixels of the group -> ``(time, y, x)`` as stored, in slot order."""
        held = self.spec.variable(group, variable)
        if held is None:
            raise StoreError(f"{self.path} holds no {group}/{variable}")
        rows, columns = window
        shape = (len(slots), rows.stop - rows.start, columns.stop - columns.start)
        out = np.empty(shape, held.dtype)
        array = self._array(f"{group}/{variable}")
        # Neighbouring slots at once: a request costs zarr-python as much as decoding a chunk.
        for first, after in _runs(slots):
            span = slice(slots[first], slots[after - 1] + 1)
            try:
                out[first:after] = array[span, rows, columns]
            except (OSError, RuntimeError, ValueError) as error:
                # The codecs say in these ways that a chunk is damaged or cut short.
                raise StoreError(
                    f"cannot read {variable} of {self._days(slots[first:after])} in "
                    f"{self.path}/{group}: {_reason(error)}"
                ) from error
        return out

    def _days(self, slots: Sequence[int]) -> str:
        days = [str(self.dates[slot].datetime.astype("datetime64[D]")) for slot in slots]
        return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"

    def _array(self, name: str) -> "zarr.Array[Any]":
        """Array of the state that was opened, with the shape it had then."""
        if name not in self._arrays:
            metadata = copy.deepcopy(self._root["consolidated_metadata"]["metadata"][name])
            place = StorePath(LocalStore(self.path, read_only=True), name)
            with zarr.config.set(CODECS):
                self._arrays[name] = zarr.Array.from_dict(place, metadata)
        return self._arrays[name]


def open_store(path: Path | str) -> Cube:
    """Path of a store -> its committed state; ``StoreError`` where there is none or it is newer."""
    path = Path(path)
    try:
        root = json.loads((path / "zarr.json").read_text())
        found = root["attributes"]["clearcube"]["format"]
        if found > FORMAT:
            raise StoreError(
                f"{path} was written by a newer clearcube (format {found}); upgrade to read it"
            )
        return Cube(path, root)
    except StoreError:
        raise
    except FileNotFoundError:
        raise StoreError(f"no cube at {path}") from None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from None
    except KeyError as error:
        raise StoreError(f"{path} is not a cube of clearcube: it has no {error}") from None
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path} is not a cube of clearcube: {_reason(error)}") from None


def open_cube(path: Path | str, group: str | None = None, *, masked: bool = False) -> xr.Dataset:
    """Path of a store -> lazy ``Dataset[time, y, x]`` of its valid dates in order of time.

    Parameters
    ----------
    path : where the store is.
    group : ``r10m`` or ``r20m``; default the finest.
    masked : reflectances as floats with NaN instead of the stored integers (int16, scale 0.0001,
        fill value -10000).

    Raises ``StoreError`` where there is no cube.
    """
    cube = open_store(path)
    name = group or next(iter(cube.spec.groups))
    if name not in cube.spec.groups:
        raise StoreError(f"{path} has no group {name!r}; it has {' '.join(cube.spec.groups)}")
    dataset: xr.Dataset = xr.open_zarr(
        str(path),
        group=name,
        consolidated=True,
        chunks={},
        decode_coords="all",
        mask_and_scale=masked,
    )
    # The date list of the state we opened decides, not the coordinate of a commit just after.
    slots = [entry.slot for entry in cube.valid_dates]
    return dataset.isel(time=slots).drop_vars("valid")


def create_cube(path: Path | str, spec: Spec) -> Cube:
    """Make an empty cube, visible all at once; ``StoreError`` where one is already there."""
    path = Path(path)
    if path.exists():
        raise StoreError(f"there is already a cube at {path}")
    fresh = path.with_name(f".{path.name}.new-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    about = {"format": FORMAT, "commits": 0, "spec": spec_to_json(spec), "dates": []}
    try:
        with _writing(path):
            fresh.parent.mkdir(parents=True, exist_ok=True)
            root = zarr.create_group(
                str(fresh), zarr_format=3, attributes={"clearcube": about, **_spatial(spec)}
            )
            for group in spec.groups:
                _create_group(fresh, root, spec, group)
            _consolidate(fresh)
            fresh.rename(path)
            _sync_directory(path.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return open_store(path)


class StagedDate:
    """Pixels of one date on their way into a cube: private to a worker until committed."""

    def __init__(self, path: Path | str, spec: Spec, key: str) -> None:
        self._spec = spec
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self.directory = staging_directory(path, key)
        shutil.rmtree(self.directory, ignore_errors=True)
        with _writing(self.directory):
            self.directory.mkdir(parents=True)

    def write(self, variable: Variable, y0: int, x0: int, pixels: Array) -> None:
        """``(y, x)`` pixels of whole shards, their upper left corner at ``y0``, ``x0``."""
        name = f"{variable.group}/{variable.name}"
        target = self.directory / variable.group / variable.name
        height, width = pixels.shape
        with _writing(target):
            if name not in self._arrays:
                self._arrays[name] = _staged_array(target, self._spec, variable)
            try:
                self._arrays[name][0, y0 : y0 + height, x0 : x0 + width] = pixels
            except RuntimeError as error:
                # The way in which the codecs pass on what the system said.
                raise OSError(_reason(error)) from error

    def close(self) -> None:
        """Bring all bytes to the disk, so that a commit never names what a power cut may take."""
        with _writing(self.directory):
            for file in self.directory.rglob("*"):
                _sync(file)

    def discard(self) -> None:
        """Give the room back: what was staged is not going to be committed."""
        shutil.rmtree(self.directory, ignore_errors=True)


def staging_directory(path: Path | str, key: str) -> Path:
    """Where the pixels of a date wait for their commit."""
    path = Path(path)
    return path.with_name(f"{path.name}.stage") / key


def commit_date(path: Path | str, entry: DateEntry, replaces: Collection[int] = ()) -> DateEntry:
    """Add a staged date to a cube; the slots that it replaces are no longer valid.

    The slot is the next of the time axis. Committing the same key twice changes nothing. Readers see
    the state before or the state after, whenever the process ends.
    """
    path = Path(path)
    with _locked(path):
        cube = open_store(path)
        for known in cube.dates:
            if known.valid and known.key == entry.key:
                shutil.rmtree(staging_directory(path, entry.key), ignore_errors=True)
                return known
        slot = len(cube.dates)
        new = replace(entry, slot=slot, valid=True)
        dates = [replace(d, valid=d.valid and d.slot not in replaces) for d in cube.dates]
        with _writing(path):
            _move_pixels(path, cube.spec, entry.key, slot)
            _commit_root(path, cube, [*dates, new])
    shutil.rmtree(staging_directory(path, entry.key), ignore_errors=True)
    return new


def retire_dates(path: Path | str, slots: Sequence[int]) -> None:
    """Mark slots as no longer valid; their pixels stay until the cube is compacted."""
    path = Path(path)
    with _locked(path):
        cube = open_store(path)
        gone = set(slots)
        dates = [replace(d, valid=d.valid and d.slot not in gone) for d in cube.dates]
        if list(cube.dates) != dates:
            with _writing(path):
                _commit_root(path, cube, dates)


def compact_cube(source: Path | str, target: Path | str) -> Cube:
    """Copy a cube's valid dates, in order of time, into a new store: the next generation."""
    source, target = Path(source), Path(target)
    cube = open_store(source)
    spec = spec_from_json({**spec_to_json(cube.spec), "generation": cube.spec.generation + 1})
    create_cube(target, spec)
    for entry in cube.valid_dates:
        staged = staging_directory(target, entry.key)
        shutil.rmtree(staged, ignore_errors=True)
        for variable in spec.variables:
            pixels = source / variable.group / variable.name / "c" / str(entry.slot)
            if pixels.is_dir():
                with _writing(target):
                    shutil.copytree(pixels, staged / variable.group / variable.name / "c" / "0")
        commit_date(target, entry)
    return open_store(target)


# --- reading --------------------------------------------------------------------------------


def _runs(slots: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Slots -> first and last + 1 of the indices of each run of slots that follow one another."""
    first = 0
    for index in range(1, len(slots) + 1):
        if index == len(slots) or slots[index] != slots[index - 1] + 1:
            yield first, index
            first = index


# --- the making of groups and arrays -------------------------------------------------------------


def _create_group(fresh: Path, root: zarr.Group, spec: Spec, group: str) -> None:
    node = root.create_group(group, attributes=_group_attributes(spec, group))
    for variable in spec.variables:
        if variable.group == group:
            _create_array(str(fresh / group / variable.name), spec, variable)
    geobox = spec.extent.geobox(spec.groups[group])
    for name, coordinate in xr_coords(geobox, crs_coord_name="spatial_ref").items():
        values = np.asarray(coordinate.values)
        array = node.create_array(
            str(name),
            shape=values.shape,
            dtype=values.dtype,
            chunks=values.shape or (),
            dimension_names=coordinate.dims,
            attributes={k: _plain(v) for k, v in coordinate.attrs.items()},
            compressors=None,
        )
        array[...] = values
    for name, (dtype, attributes) in _COORDINATES.items():
        node.create_array(
            name,
            shape=(0,),
            dtype=dtype,
            chunks=(COORDINATE_CHUNK,),
            dimension_names=("time",),
            attributes=attributes,
            compressors=None,
        )


_COORDINATES: dict[str, tuple[str, dict[str, Any]]] = {
    "time": (
        "int64",
        {
            "units": "milliseconds since 1970-01-01",
            "calendar": "proleptic_gregorian",
            "standard_name": "time",
        },
    ),
    "valid": ("bool", {"long_name": "slot in force; others were replaced or withdrawn"}),
}


def _create_array(target: str, spec: Spec, variable: Variable) -> None:
    _new_array(LocalStore(target), variable, (0, *spec.shape(variable.group)), *spec.cut(variable))


def _staged_array(target: Path, spec: Spec, variable: Variable) -> "zarr.Array[Any]":
    """Array of one date whose metadata stay in memory: nobody looks for them in the stage."""
    shape = (1, *spec.shape(variable.group))
    with zarr.config.set(CODECS):
        metadata = _metadata(variable, shape, *spec.cut(variable))
        return zarr.Array.from_dict(StorePath(LocalStore(target)), copy.deepcopy(metadata))


@functools.lru_cache(maxsize=64)
def _metadata(variable: Variable, shape: tuple[int, ...], chunk: int, shard: int) -> dict[str, Any]:
    found: dict[str, Any] = _new_array(
        MemoryStore(), variable, shape, chunk, shard
    ).metadata.to_dict()
    return found


def _new_array(
    store: Store, variable: Variable, shape: tuple[int, ...], chunk: int, shard: int
) -> "zarr.Array[Any]":
    codec: dict[str, Any] = {
        "name": "blosc",
        "configuration": {**BLOSC, "typesize": np.dtype(variable.dtype).itemsize},
    }
    return zarr.create_array(
        store,
        shape=shape,
        dtype=variable.dtype,
        chunks=(1, chunk, chunk),
        shards=(1, shard, shard) if shard > chunk else None,
        fill_value=variable.fill_value,
        compressors=[codec],
        dimension_names=("time", "y", "x"),
        attributes=_array_attributes(variable),
        zarr_format=3,
    )


def _array_attributes(variable: Variable) -> dict[str, Any]:
    attributes: dict[str, Any] = {"long_name": variable.title, "grid_mapping": "spatial_ref"}
    if variable.scale is not None:
        # xarray reads _FillValue of a Zarr v3 array from the attributes and wants it encoded there.
        attributes |= {"scale_factor": variable.scale, "add_offset": 0.0}
        attributes["_FillValue"] = variable.fill_value
    return attributes


def _group_attributes(spec: Spec, group: str) -> dict[str, Any]:
    return {
        "Conventions": "CF-1.11",
        "title": f"clearcube {spec.tile} {spec.level} {group}",
        # xarray then takes it as a coordinate of time, not as data.
        "coordinates": "valid",
        **_spatial(spec, group),
    }


def _spatial(spec: Spec, group: str | None = None) -> dict[str, Any]:
    extent = spec.extent
    found: dict[str, Any] = {
        "proj:code": f"EPSG:{extent.epsg}",
        "spatial:bbox": [extent.left, extent.bottom, extent.right, extent.top],
        "spatial:dimensions": ["y", "x"],
    }
    if group is not None:
        resolution = spec.groups[group]
        found["spatial:shape"] = list(spec.shape(group))
        found["spatial:transform"] = [resolution, 0, extent.left, 0, -resolution, extent.top]
    return found


def _consolidate(store: Path) -> None:
    # As zarr-python writes it; its own function warns on every call that the form is a draft.
    nodes = {}
    for file in sorted(store.glob("*/zarr.json")) + sorted(store.glob("*/*/zarr.json")):
        nodes[file.parent.relative_to(store).as_posix()] = json.loads(file.read_text())
    root = json.loads((store / "zarr.json").read_text())
    root["consolidated_metadata"] = {
        "kind": "inline",
        "must_understand": False,
        "metadata": nodes,
    }
    _write_json(store / "zarr.json", root)


# --- the commit -----------------------------------------------------------------------------------


def _move_pixels(path: Path, spec: Spec, key: str, slot: int) -> None:
    staged = staging_directory(path, key)
    for variable in spec.variables:
        target = path / variable.group / variable.name / "c" / str(slot)
        # What a commit that was cut short left here belongs to no date.
        shutil.rmtree(target, ignore_errors=True)
        source = staged / variable.group / variable.name / "c" / "0"
        if source.is_dir():
            target.parent.mkdir(exist_ok=True)
            source.replace(target)
            _sync_directory(target.parent)


def _commit_root(path: Path, cube: Cube, dates: Sequence[DateEntry]) -> None:
    root = json.loads((path / "zarr.json").read_text())
    about = root["attributes"]["clearcube"]
    about["dates"] = [asdict(entry) for entry in dates]
    about["commits"] += 1
    # The coordinates have two places and take them in turn: a reader of the state before goes on
    # reading the other one.
    separator = "/."[about["commits"] % 2]
    nodes = root["consolidated_metadata"]["metadata"]
    for group in cube.spec.groups:
        _write_coordinate(path / group / "time", separator, [d.time for d in dates], "<i8")
        _write_coordinate(path / group / "valid", separator, [d.valid for d in dates], "|b1")
        for name in ("time", "valid"):
            encoding = nodes[f"{group}/{name}"]["chunk_key_encoding"]
            encoding["configuration"] = {"separator": separator}
            nodes[f"{group}/{name}"]["shape"] = [len(dates)]
    for variable in cube.spec.variables:
        nodes[f"{variable.group}/{variable.name}"]["shape"][0] = len(dates)
    _write_json(path / "zarr.json", root)
    # Readers without consolidated metadata follow; the root alone is the commit.
    for name, node in nodes.items():
        if (node.get("dimension_names") or [None])[0] == "time":
            _write_json(path / name / "zarr.json", node, durable=False)


def _write_coordinate(folder: Path, separator: str, values: Sequence[Any], dtype: str) -> None:
    for index in range(-(-len(values) // COORDINATE_CHUNK)):
        chunk = np.zeros(COORDINATE_CHUNK, dtype)
        part = values[index * COORDINATE_CHUNK : (index + 1) * COORDINATE_CHUNK]
        chunk[: len(part)] = part
        file = folder / f"c{separator}{index}"
        file.parent.mkdir(exist_ok=True)
        _write_bytes(file, chunk.tobytes())


def _write_json(file: Path, document: Mapping[str, Any], *, durable: bool = True) -> None:
    # Without indentation, which Python's fast encoder does not know: thousands of dates go through it.
    _write_bytes(file, json.dumps(document).encode(), durable=durable)


def _write_bytes(file: Path, content: bytes, *, durable: bool = True) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot write {file}: {error.strerror or error}") from error
    if durable:
        _sync_directory(file.parent)


def _sync(file: Path) -> None:
    if file.is_file():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Whatever the system refuses while something is written, as one line that names it."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def _reason(error: Exception) -> str:
    """What an error says, as one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    try:
        stream = lock.open("w")
    except OSError as error:
        raise StoreError(f"cannot write {lock}: {error.strerror or error}") from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
