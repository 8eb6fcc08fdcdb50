"""The Zarr cube of a tile: create, stage a date, commit it, open, read a block.

A cube is one Zarr v3 store whose root metadata holds the consolidated metadata of all groups *and*
the list of dates: replacing that one file is the commit (see DESIGN.md). Slots of the time axis are
only ever added; a reprocessed date takes a new slot and its old one is marked not valid.
"""

import contextlib
import copy
import errno
import fcntl
import io
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from zarr.storage import LocalStore, StorePath

from cube.arrays import (
    CODECS,
    COORDINATE_CHUNK,
    consolidate,
    spatial_attributes,
    staged_array,
    write_group,
)
from cube.checksums import Checksums, chunk_checksums, combined
from cube.errors import StoreError
from cube.files import sync_directory, sync_file, write_bytes, write_json
from cube.spec import DateEntry as DateEntry
from cube.spec import Spec as Spec
from cube.spec import entry_from_json, spec_from_json, spec_to_json
from cube.variables import Variable

FORMAT = 1
"""Version of the layout of our attributes; a store of a newer one is refused."""

CHECKSUMS = "checksums.npy"
"""File of a staged date with the checksums of its chunks."""

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
                # The codecs say in these ways that a chunk is damaged or cut short. One date after
                # the other, it is told which.
                for slot in slots[first:after] if after - first > 1 else ():
                    self.read(group, variable, [slot], window)
                raise StoreError(
                    f"cannot read {variable} of {self._days(slots[first:after])} in "
                    f"{self.path}/{group}: {_reason(error)}"
                ) from error
        return out

    def checksums(self, slot: int) -> Checksums | None:
        """Slot -> (variable, row, column) uint64 checksums of its chunks, variables as in the spec.

        None where the store has none of that slot, as when it was copied without them.
        """
        try:
            found: Checksums = np.load(_checksums_file(self.path, slot))
        except (OSError, ValueError):
            return None
        return found

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
                str(fresh),
                zarr_format=3,
                attributes={"clearcube": about, **spatial_attributes(spec)},
            )
            for group in spec.groups:
                write_group(fresh, root, spec, group)
            consolidate(fresh)
            fresh.rename(path)
            sync_directory(path.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return open_store(path)


class StagedDate:
    """Pixels of one date on their way into a cube: private to a worker until committed."""

    def __init__(self, path: Path | str, spec: Spec, key: str) -> None:
        self._spec = spec
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._checksums = _no_checksums(spec)
        self._whole = staging_directory(path, key)
        # A unit that was given up for lost may still be at work: each has a place of its own.
        self.directory = self._whole.with_name(f".{key}.{uuid.uuid4().hex[:8]}")
        shutil.rmtree(self._whole, ignore_errors=True)
        with _writing(self.directory):
            self.directory.mkdir(parents=True)

    def write(self, variable: Variable, y0: int, x0: int, pixels: Array) -> None:
        """``(y, x)`` pixels of whole shards, their upper left corner at ``y0``, ``x0``."""
        name = f"{variable.group}/{variable.name}"
        target = self.directory / variable.group / variable.name
        height, width = pixels.shape
        with _writing(target):
            if name not in self._arrays:
                self._arrays[name] = staged_array(target, self._spec, variable)
            try:
                self._arrays[name][0, y0 : y0 + height, x0 : x0 + width] = pixels
            except RuntimeError as error:
                # The way in which the codecs pass on what the system said.
                raise OSError(_reason(error)) from error
        chunk = self._spec.chunk(variable.group)
        found = chunk_checksums(pixels, chunk, variable.fill_value)
        row, column = y0 // chunk, x0 // chunk
        of_variable = self._checksums[self._spec.variables.index(variable)]
        of_variable[row : row + found.shape[0], column : column + found.shape[1]] = found

    def close(self) -> None:
        """Bring all bytes to the disk, so that a commit never names what a power cut may take.

        Only then is the date where a commit finds it; of two units with the same date, the first
        one's stays.
        """
        with _writing(self.directory):
            _save_checksums(self.directory / CHECKSUMS, self._checksums, durable=False)
            for file in self.directory.rglob("*"):
                sync_file(file)
            try:
                self.directory.rename(self._whole)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                self.discard()
            sync_directory(self._whole.parent)

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
    return commit_dates(path, [entry], replaces)[0]


def commit_dates(
    path: Path | str, entries: Sequence[DateEntry], replaces: Collection[int] = ()
) -> list[DateEntry]:
    """Add staged dates to a cube, all or none; the slots that they replace are no longer valid.

    Dates whose key the cube holds stay as they are.
    """
    path = Path(path)
    with _locked(path):
        cube = open_store(path)
        known = {entry.key: entry for entry in cube.valid_dates}
        fresh = [entry for entry in entries if entry.key not in known]
        for entry in fresh:
            if not staging_directory(path, entry.key).is_dir():
                raise StoreError(f"nothing of date {entry.key} is staged for {path}; run again")
        dates = [replace(d, valid=d.valid and d.slot not in replaces) for d in cube.dates]
        with _writing(path):
            for entry in fresh:
                checksums = _variable_checksums(path, cube.spec, entry)
                new = replace(entry, slot=len(dates), valid=True, checksums=checksums)
                _move_pixels(path, cube.spec, entry.key, new.slot)
                dates.append(new)
                known[entry.key] = new
            if fresh:
                _commit_root(path, cube, dates)
    for entry in entries:
        shutil.rmtree(staging_directory(path, entry.key), ignore_errors=True)
    return [known[entry.key] for entry in entries]


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
        with _writing(target):
            staged.mkdir(parents=True, exist_ok=True)
            found = cube.checksums(entry.slot)
            if found is not None:
                _save_checksums(staged / CHECKSUMS, found)
        commit_date(target, entry)
    return open_store(target)


def discard_cube(path: Path | str) -> None:
    """Remove a store that no item names, and what lies beside it; nothing where there is none.

    Who lists the directory finds the store whole or not at all.
    """
    path = Path(path)
    gone = path.with_name(f".{path.name}.gone-{os.getpid()}")
    if path.exists():
        path.rename(gone)
    for folder in (gone, path.with_name(f"{path.name}.sums"), staging_directory(path, "")):
        shutil.rmtree(folder, ignore_errors=True)


# --- reading --------------------------------------------------------------------------------


def _runs(slots: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Slots -> first and last + 1 of the indices of each run of slots that follow one another."""
    first = 0
    for index in range(1, len(slots) + 1):
        if index == len(slots) or slots[index] != slots[index - 1] + 1:
            yield first, index
            first = index


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
            sync_directory(target.parent)
    checksums = _checksums_file(path, slot)
    checksums.parent.mkdir(exist_ok=True)
    # Of a slot that has none here, those of a commit that was cut short must not stay.
    checksums.unlink(missing_ok=True)
    if (staged / CHECKSUMS).exists():
        (staged / CHECKSUMS).replace(checksums)


def _checksums_file(path: Path, slot: int) -> Path:
    """Checksums of a slot's chunks: beside the store, where no reader of Zarr looks."""
    return path.with_name(f"{path.name}.sums") / f"{slot}.npy"


def _no_checksums(spec: Spec) -> Checksums:
    """(variable, row, column) zeros; the groups have the same chunks, each in its own pixels."""
    group = next(iter(spec.groups))
    rows, columns = (-(-side // spec.chunk(group)) for side in spec.shape(group))
    return np.zeros((len(spec.variables), rows, columns), np.uint64)


def _save_checksums(file: Path, checksums: Checksums, *, durable: bool = True) -> None:
    # numpy's own writing to a file does not say when the disk takes only a part of it.
    content = io.BytesIO()
    np.save(content, checksums)
    write_bytes(file, content.getvalue(), durable=durable)


def _variable_checksums(path: Path, spec: Spec, entry: DateEntry) -> dict[str, str]:
    try:
        found: Checksums = np.load(staging_directory(path, entry.key) / CHECKSUMS)
    except FileNotFoundError:
        return dict(entry.checksums)
    return checksums_by_name(spec, found, entry.variables)


def checksums_by_name(spec: Spec, kept: Checksums, names: Iterable[str]) -> dict[str, str]:
    """(variable, row, column) checksums of chunks -> one a name, of all groups that hold the name.

    Two may: MAJA's saturation is at 10 m and 20 m.
    """
    return {
        name: combined([kept[i] for i, v in enumerate(spec.variables) if v.name == name])
        for name in names
    }


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
    write_json(path / "zarr.json", root)
    # Readers without consolidated metadata follow; the root alone is the commit.
    for name, node in nodes.items():
        if (node.get("dimension_names") or [None])[0] == "time":
            write_json(path / name / "zarr.json", node, durable=False)


def _write_coordinate(folder: Path, separator: str, values: Sequence[Any], dtype: str) -> None:
    for index in range(-(-len(values) // COORDINATE_CHUNK)):
        chunk = np.zeros(COORDINATE_CHUNK, dtype)
        part = values[index * COORDINATE_CHUNK : (index + 1) * COORDINATE_CHUNK]
        chunk[: len(part)] = part
        file = folder / f"c{separator}{index}"
        file.parent.mkdir(exist_ok=True)
        write_bytes(file, chunk.tobytes())


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
