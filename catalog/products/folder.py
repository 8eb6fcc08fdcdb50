"""A product's folder, on disk or inside a zip that is read in place."""

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from catalog.errors import ProductError

TEXT_LIMIT = 64 * 1024 * 1024
"""Most bytes of one text file; the largest genuine ones are below two million."""

RATIO_LIMIT = 200
"""Most bytes made of one compressed byte of text; angle grids of genuine products reach 30."""

RATIO_FREE = 1024 * 1024
"""Below this many bytes any ratio is harmless."""

MEMBER_LIMIT = 20_000
"""Most files of one product; genuine ones hold a few hundred."""

_METADATA = re.compile(r"MTD_MSIL(1C|2A)\.xml|.+_MTD_ALL[^/]*\.xml", re.IGNORECASE)


T = TypeVar("T")


class Folder(Protocol):
    """A tree of files with names relative to the product, separated by ``/``."""

    @property
    def location(self) -> Path:
        """The directory or the zip."""
        ...

    @property
    def name(self) -> str:
        """The product's own folder name."""
        ...

    @property
    def members(self) -> frozenset[str]:
        """All files."""
        ...

    def describe(self, member: str) -> str:
        """How messages name a file."""
        ...

    def href(self, member: str) -> str:
        """What GDAL opens."""
        ...

    def size(self, member: str) -> int:
        """Bytes."""
        ...

    def checksum(self, member: str) -> str | None:
        """CRC-32 in hexadecimal where the folder records one."""
        ...

    def read(self, member: str) -> bytes:
        """Content of a text file, at most ``TEXT_LIMIT`` bytes."""
        ...


def open_folder(location: Path) -> Folder:
    """Directory, zip, or metadata file in a directory -> folder of the product.

    ``ProductError`` for what is not there, a zip that is damaged or not safe to read, and links
    that leave the folder.
    """
    path = Path(os.path.abspath(location))  # noqa: PTH100  resolve() would follow links
    if not path.exists():
        raise ProductError(f"{location}: no such file or folder")
    if path.is_dir():
        return Directory(path)
    if _METADATA.fullmatch(path.name):
        return Directory(path.parent)
    if is_zip(path):
        return Zip(path)
    raise ProductError(f"{location}: not a product: neither a folder nor a zip")


def is_zip(path: Path) -> bool:
    """Whether a file is, or claims by its name to be, a zip."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".zip":
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def top_names(location: Path) -> tuple[str, frozenset[str]]:
    """Name of the folder and the names just inside it, cheaply; nothing where unreadable."""
    if location.is_file() and _METADATA.fullmatch(location.name):
        location = location.absolute().parent
    try:
        if location.is_dir():
            return _directory_name(location), frozenset(each.name for each in location.iterdir())
        if is_zip(location):
            folder = Zip(location)
            return folder.name, frozenset(each.split("/")[0] for each in folder.members)
    except (OSError, ProductError):
        # Reading the product says what is wrong with it; the name alone decides here.
        return _stem(location), frozenset()
    return "" if location.exists() else location.name, frozenset()


class Directory:
    """A folder on disk."""

    def __init__(self, root: Path) -> None:
        self.location = root
        self.name = _directory_name(root)
        self.members = self._walk()

    def describe(self, member: str) -> str:
        """How messages name a file."""
        return str(self.location / member)

    def href(self, member: str) -> str:
        """Absolute path."""
        return str(self.location / member)

    def size(self, member: str) -> int:
        """Bytes on disk."""
        return (self.location / member).stat().st_size

    def checksum(self, member: str) -> str | None:
        """Return nothing: a directory records no checksum."""
        return None

    def read(self, member: str) -> bytes:
        """Content of a text file, at most ``TEXT_LIMIT`` bytes."""
        try:
            with (self.location / member).open("rb") as file:
                content = file.read(TEXT_LIMIT + 1)
        except OSError as cause:
            raise ProductError(f"{self.describe(member)}: {cause.strerror}") from None
        return _bounded(content, self.describe(member))

    def _walk(self) -> frozenset[str]:
        root = os.path.realpath(self.location)
        found: set[str] = set()

        def refuse(cause: OSError) -> None:
            raise ProductError(f"{cause.filename}: {cause.strerror}")

        for folder, folders, files in os.walk(self.location, onerror=refuse):
            for entry in (*folders, *files):
                path = Path(folder, entry)
                if path.is_symlink() and not _inside(os.path.realpath(path), root):
                    raise ProductError(f"{path}: refused: a link that leaves the product's folder")
            found.update(Path(folder, file).relative_to(self.location).as_posix() for file in files)
            if len(found) > MEMBER_LIMIT:
                raise ProductError(
                    f"{self.location}: more than {MEMBER_LIMIT} files; give one product"
                )
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a member lies in the archive."""

    info: zipfile.ZipInfo
    path: str


class Zip:
    """The one product folder inside a zip, read in place; nothing is ever extracted."""

    def __init__(self, archive: Path) -> None:
        self.location = archive
        self._entries = self._list()
        prefix = self._product_folder()
        self.name = PurePosixPath(prefix).name if prefix else _stem(archive)
        self._entries = {
            path.removeprefix(prefix): entry
            for path, entry in self._entries.items()
            if path.startswith(prefix)
        }
        self.members = frozenset(self._entries)

    def describe(self, member: str) -> str:
        """How messages name a file."""
        return f"{self.location}: {self._entries[member].path}"

    def href(self, member: str) -> str:
        """``/vsizip/`` path; braces where the archive's name does not end in .zip."""
        archive = str(self.location)
        if self.location.suffix.lower() != ".zip":
            archive = f"{{{archive}}}"
        return f"/vsizip/{archive}/{self._entries[member].path}"

    def size(self, member: str) -> int:
        """Bytes when expanded, as the archive declares them."""
        return self._entries[member].info.file_size

    def checksum(self, member: str) -> str | None:
        """CRC-32 that the archive records."""
        return f"{self._entries[member].info.CRC:08x}"

    def read(self, member: str) -> bytes:
        """Content of a text file, at most ``TEXT_LIMIT`` bytes."""
        name, info = self.describe(member), self._entries[member].info
        # Other methods have no bounded decompression in the standard library.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ProductError(
                f"{name}: refused: compressed by method {info.compress_type}, not deflate"
            )
        _refuse_bomb(name, info.file_size, info.compress_size)

        def content(archive: zipfile.ZipFile) -> bytes:
            with archive.open(info) as file:
                return file.read(TEXT_LIMIT + 1)

        expanded = self._with_archive(content, name)
        _refuse_bomb(name, len(expanded), info.compress_size)
        return _bounded(expanded, name)

    def _with_archive(self, use: Callable[[zipfile.ZipFile], T], name: str) -> T:
        try:
            with zipfile.ZipFile(self.location) as archive:
                return use(archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as cause:
            raise ProductError(f"{name}: damaged or truncated zip: {cause}") from None
        except OSError as cause:
            raise ProductError(f"{name}: {cause.strerror or cause}") from None

    def _list(self) -> dict[str, _Entry]:
        infos = self._with_archive(zipfile.ZipFile.infolist, str(self.location))
        if len(infos) > MEMBER_LIMIT:
            raise ProductError(f"{self.location}: refused: more than {MEMBER_LIMIT} members")
        found: dict[str, _Entry] = {}
        for info in infos:
            self._refuse_unsafe(info)
            if info.is_dir():
                continue
            if info.filename in found:
                raise ProductError(
                    f"{self.location}: refused: two members are called {info.filename}"
                )
            found[info.filename] = _Entry(info, info.filename)
        return found

    def _refuse_unsafe(self, info: zipfile.ZipInfo) -> None:
        # What the archive says, before zipfile tidies it.
        name = info.orig_filename.replace("\\", "/")
        cause = None
        if name.startswith("/") or re.match(r"[A-Za-z]:", name):
            cause = "has an absolute path"
        elif ".." in name.split("/"):
            cause = "leaves the archive by '..'"
        elif "\0" in name:
            cause = "has a name with a null byte"
        elif info.flag_bits & 0x1:
            cause = "is encrypted"
        elif stat.S_ISLNK(info.external_attr >> 16):
            cause = "is a symbolic link"
        if cause:
            raise ProductError(f"{self.location}: refused: member {name!r} {cause}")

    def _product_folder(self) -> str:
        """Path of the folder that holds the product, with its slash; empty for the top."""
        holders = {
            path.removesuffix(file)
            for path in self._entries
            if _METADATA.fullmatch(file := path.rpartition("/")[2])
        }
        if holders:
            depth = min(holder.count("/") for holder in holders)
            holders = {holder for holder in holders if holder.count("/") == depth}
        else:
            holders = {f"{path.split('/')[0]}/" for path in self._entries if "/" in path}
            if len(holders) != 1:
                return ""
        if len(holders) > 1:
            raise ProductError(
                f"{self.location}: holds {len(holders)} products; give each its own zip or unpack it"
            )
        return holders.pop()


def _refuse_bomb(name: str, expanded: int, compressed: int) -> None:
    if expanded > RATIO_FREE and expanded > RATIO_LIMIT * max(compressed, 1):
        raise ProductError(
            f"{name}: refused as a zip bomb: {compressed} bytes expand to {expanded} or more"
        )


def _bounded(content: bytes, name: str) -> bytes:
    if len(content) > TEXT_LIMIT:
        raise ProductError(f"{name}: refused: more than {TEXT_LIMIT} bytes of text")
    return content


def _inside(path: str, root: str) -> bool:
    return os.path.commonpath((path, root)) == root


def _directory_name(path: Path) -> str:
    return path.name or path.resolve().name


def _stem(path: Path) -> str:
    name = path.name
    return name[:-4] if name.lower().endswith(".zip") else name


def find(folder: Folder, pattern: str) -> list[str]:
    """Members whose whole path matches a regular expression, sorted."""
    matches: Iterable[str] = (each for each in folder.members if re.fullmatch(pattern, each))
    return sorted(matches)


def zip_member(path: str) -> tuple[str, str] | None:
    """``/vsizip//a/b.zip/c/d.jp2`` -> archive and member; None where it is no path of GDAL's zips."""
    if not path.startswith("/vsizip/"):
        return None
    rest = path.removeprefix("/vsizip/")
    if rest.startswith("{"):
        archive, _, member = rest[1:].partition("}/")
        return archive, member
    found = re.match(r"(.*?\.zip)/(.*)", rest, re.IGNORECASE)
    return (found[1], found[2]) if found else None
