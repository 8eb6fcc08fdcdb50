"""Whether the files of a store are what its root says: metadata, coordinates, pixels."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cube.arrays import COORDINATE_CHUNK
from cube.checksums import FILL, Checksums, chunk_checksums, combined
from cube.errors import StoreError
from cube.spec import DateEntry, Spec
from cube.store import Cube, checksums_by_name
from cube.variables import Variable

Nodes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing in a store that is not as its root says."""

    what: str
    slots: tuple[int, ...] = ()
    """Dates that are to be loaded again."""
    file: Path | None = None
    """File that is to be removed instead."""
    is_note: bool = False
    """Readers get the right pixels all the same."""


def store_faults(path: Path) -> Iterator[Fault]:
    """Store -> what is wrong with its metadata and coordinates, and what belongs to no date."""
    # Read once more than ``open_store`` did: all that follows must be of one commit.
    root = json.loads((path / "zarr.json").read_text())
    cube = Cube(path, root)
    nodes: Nodes = root["consolidated_metadata"]["metadata"]
    reload = tuple(entry.slot for entry in cube.valid_dates)[-1:]
    yield from (Fault(what, reload) for what in _coordinate_faults(cube, nodes))
    yield from (Fault(what, reload) for what in _length_faults(cube, nodes))
    # By their places alone these hold for any commit.
    yield from (Fault(what) for what in _axis_faults(cube))
    yield from (Fault(what, is_note=True) for what in _own_metadata_faults(path, nodes))
    for leftover in uncommitted(cube):
        yield Fault(f"{leftover} belongs to no committed date", is_note=True)


def date_faults(cube: Cube, entry: DateEntry, *, quick: bool = False) -> Iterator[Fault]:
    """One date in force -> files that are gone, pixels that are not those that were committed.

    ``quick`` reads no pixel.
    """
    file = checksums_file(cube.path, entry.slot)
    kept, fault = _kept_checksums(cube, entry, file)
    if fault is not None:
        yield fault
    for index, variable in enumerate(cube.spec.variables):
        wanted = None if kept is None else kept[index]
        if variable.name not in entry.variables:
            wanted = np.zeros(_chunks(cube.spec), np.uint64)
        what = _variable_fault(cube, entry, variable, wanted, quick=quick)
        if what:
            yield Fault(what, (entry.slot,))


def pixel_checksums(cube: Cube, slot: int, variable: Variable) -> Checksums:
    """Slot and variable -> (row, column) uint64 checksums of its stored chunks, read anew.

    A row of chunks is held at a time. ``StoreError`` where they cannot be read.
    """
    chunk = cube.spec.chunk(variable.group)
    height, width = cube.spec.shape(variable.group)
    rows = []
    for first in range(0, height, chunk):
        window = (slice(first, min(first + chunk, height)), slice(0, width))
        pixels = cube.read(variable.group, variable.name, [slot], window)[0]
        rows.append(chunk_checksums(pixels, chunk, variable.fill_value))
    return np.concatenate(rows)


def uncommitted(cube: Cube) -> Iterator[Path]:
    """Pixels and checksums of slots that the store's list of dates does not reach."""
    for variable in cube.spec.variables:
        folder = cube.path / variable.group / variable.name / "c"
        yield from _beyond(folder, "", len(cube.dates))
    yield from _beyond(checksums_file(cube.path, 0).parent, ".npy", len(cube.dates))


def checksums_file(path: Path, slot: int) -> Path:
    """Where the checksums of a slot's chunks are kept."""
    return path.with_name(f"{path.name}.sums") / f"{slot}.npy"


# --- metadata -------------------------------------------------------------------------------------


def _coordinate_faults(cube: Cube, nodes: Nodes) -> Iterator[str]:
    """``time`` and ``valid`` as readers of the consolidated metadata find them."""
    wanted: dict[str, tuple[str, Sequence[Any]]] = {
        "time": ("<i8", [entry.time for entry in cube.dates]),
        "valid": ("|b1", [entry.valid for entry in cube.dates]),
    }
    for group in cube.spec.groups:
        for name, (dtype, values) in wanted.items():
            separator = nodes[f"{group}/{name}"]["chunk_key_encoding"]["configuration"]["separator"]
            for index in range(-(-len(values) // COORDINATE_CHUNK)):
                file = cube.path / group / name / f"c{separator}{index}"
                part = values[index * COORDINATE_CHUNK : (index + 1) * COORDINATE_CHUNK]
                try:
                    content = file.read_bytes()
                    held = np.frombuffer(content, dtype)[: len(part)].tolist()
                except FileNotFoundError:
                    yield f"{file} is gone"
                except (OSError, ValueError):
                    yield f"{file} cannot be read"
                else:
                    if held != list(part):
                        yield f"{file} is not the {name} of the root's dates"


def _length_faults(cube: Cube, nodes: Nodes) -> Iterator[str]:
    names = [f"{variable.group}/{variable.name}" for variable in cube.spec.variables]
    names += [f"{group}/{name}" for group in cube.spec.groups for name in ("time", "valid")]
    for name in names:
        held = nodes[name]["shape"][0] if name in nodes else 0
        if held != len(cube.dates):
            yield f"{name} is {held} long, the root has {len(cube.dates)} dates"


def _axis_faults(cube: Cube) -> Iterator[str]:
    """``x`` and ``y`` against the extent: centres of pixels."""
    extent = cube.spec.extent
    for group, resolution in cube.spec.groups.items():
        height, width = cube.spec.shape(group)
        half = resolution / 2
        wanted = {
            "x": extent.left + half + resolution * np.arange(width),
            "y": extent.top - half - resolution * np.arange(height),
        }
        for name, values in wanted.items():
            file = cube.path / group / name / "c" / "0"
            try:
                held = np.frombuffer(file.read_bytes(), "<f8")
            except FileNotFoundError:
                yield f"{file} is gone"
            except (OSError, ValueError):
                yield f"{file} cannot be read"
            else:
                # A thousandth of a pixel: coordinates are computed in another order there.
                if held.shape != values.shape or np.abs(held - values).max() > resolution / 1000:
                    yield f"{file} is not the {name} of the cube's extent"


def _own_metadata_faults(path: Path, nodes: Nodes) -> Iterator[str]:
    differing = []
    for name, node in nodes.items():
        try:
            own = json.loads((path / name / "zarr.json").read_text())
        except (OSError, ValueError):
            own = None
        if own != node:
            differing.append(name)
    if differing:
        shown = ", ".join(differing[:3]) + (" and others" if len(differing) > 3 else "")
        yield f"the metadata of {shown} differ from those in the root, which count"


def _beyond(folder: Path, suffix: str, count: int) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for child in sorted(folder.iterdir()):
        number = child.name.removesuffix(suffix)
        if child.name == f"{number}{suffix}" and number.isdigit() and int(number) >= count:
            yield child


# --- pixels ---------------------------------------------------------------------------------------


def _kept_checksums(
    cube: Cube, entry: DateEntry, file: Path
) -> tuple[Checksums | None, Fault | None]:
    """Checksums of a date's chunks as the commit kept them, if the root stands for them."""
    kept = cube.checksums(entry.slot)
    if kept is None and not file.exists():
        note = Fault(
            f"{file} is gone: what is made of {_day(entry)} next is made in whole", is_note=True
        )
        return None, note if entry.checksums else None
    shape = (len(cube.spec.variables), *_chunks(cube.spec))
    if kept is not None and kept.shape == shape and kept.dtype == np.uint64:
        held = checksums_by_name(cube.spec, kept, entry.checksums)
        if held == dict(entry.checksums):
            return kept, None
    return None, Fault(f"{file} is not what the root says of {_day(entry)}", file=file)


def _variable_fault(
    cube: Cube, entry: DateEntry, variable: Variable, wanted: Checksums | None, *, quick: bool
) -> str:
    """What is wrong with a variable of a date, or nothing."""
    name, day = variable.name, _day(entry)
    whole = entry.checksums.get(name, "")
    empty = combined([np.zeros(_chunks(cube.spec), np.uint64)])
    # Of a name that two groups hold the root knows no more than what both are together.
    namesakes = [each for each in cube.spec.variables if each.name == name]
    may_be_empty = whole in ("", empty) or len(namesakes) > 1
    for file, may_lack in _files(cube, entry.slot, variable, wanted, may_be_empty):
        size = file.stat().st_size if file.is_file() else -1
        if size == 0 or (size < 0 and not may_lack):
            return f"{name} of {day}: {file} is {'gone' if size < 0 else 'empty'}"
        if size > 0 and name not in entry.variables:
            return f"{name} of {day}: {file} is there, though the root says the date has none"
    if quick or (wanted is None and not whole) or name not in entry.variables:
        return ""
    read = [variable] if wanted is not None else namesakes
    try:
        found = [pixel_checksums(cube, entry.slot, each) for each in read]
    except StoreError as error:
        return str(error)
    if wanted is not None:
        differing = int((found[0] != wanted).sum())
        shown = f": {differing} of {found[0].size} chunks differ"
    else:
        differing, shown = int(combined(found) != whole), ""
    return f"{name} of {day} is not what was committed{shown}" if differing else ""


def _files(
    cube: Cube, slot: int, variable: Variable, wanted: Checksums | None, may_lack: bool
) -> Iterator[tuple[Path, bool]]:
    """Files of a slot's chunks (or shards), and whether each may lack as it holds no pixel."""
    chunk, shard = cube.spec.cut(variable)
    height, width = cube.spec.shape(variable.group)
    folder = cube.path / variable.group / variable.name / "c" / str(slot)
    side = shard // chunk
    every = []
    for row in range(-(-height // shard)):
        for column in range(-(-width // shard)):
            file = folder / str(row) / str(column)
            if wanted is None:
                every.append(file)
                continue
            part = wanted[row * side : (row + 1) * side, column * side : (column + 1) * side]
            yield file, bool((part == FILL).all())
    # Without checksums of chunks no more is known than that something must be there.
    some = may_lack or any(file.exists() for file in every)
    yield from ((file, some) for file in every)


def _chunks(spec: Spec) -> tuple[int, int]:
    group = next(iter(spec.groups))
    height, width = (-(-side // spec.chunk(group)) for side in spec.shape(group))
    return height, width


def _day(entry: DateEntry) -> str:
    return str(entry.datetime.astype("datetime64[D]"))
