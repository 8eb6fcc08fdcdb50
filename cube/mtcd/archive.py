"""Arrays of mtcd on disk: a header and some arrays in one file, seen whole or not at all."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cube.errors import StoreError

T = TypeVar("T")

Header = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file: what it holds, in which version, and what to do where it is of no use."""

    what: str
    version: int
    cure: str

    def write(self, path: Path, header: Header, arrays: Arrays) -> None:
        """Header and arrays -> a file, written beside and renamed; the same gives the same bytes."""
        text = json.dumps({**header, "version": self.version}, sort_keys=True).encode()
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                np.savez(file, header=np.frombuffer(text, np.uint8), **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise StoreError(
                f"{path}: the {self.what} of mtcd cannot be written: {error}"
            ) from error

    def read(self, path: Path, make: Callable[[Header, Arrays], T]) -> T:
        """File -> what ``make`` makes of header and arrays, of which it reads what it looks at.

        ``StoreError`` where the file cannot be read or another version wrote it.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                header = json.loads(arrays["header"].tobytes())
                version = int(header["version"])
                if version == self.version:
                    return make(header, arrays)
        except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                f"{path}: no {self.what} of mtcd can be read: {error}; {self.cure}"
            ) from error
        raise StoreError(
            f"{path}: {self.what} of mtcd in version {version}, this clearcube reads "
            f"{self.version}; use a newer clearcube, or {self.cure}"
        )


def unpacked(bits: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Bits as numpy packs them -> (rows, columns) bool."""
    count = shape[0] * shape[1]
    return np.unpackbits(bits, count=count).reshape(shape).astype(np.bool_)
