"""The whole catalogue to another one or to files, counted, and compared with what was copied."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.backends import CatalogBackend, open_catalog, shown_url
from catalog.backends.base import Document, search_all
from catalog.footprint import bbox_of
from catalog.search import Query, parse_query, tile_of, times_of
from jobs.errors import JobError, RequestError
from jobs.outputs import put_file, put_folder, require_file, require_folder, staged

if TYPE_CHECKING:
    from jobs.workspace import Workspace

BATCH = 1000
"""Items in memory at once."""
ALL = Query(limit=BATCH)


class CopyError(JobError, RuntimeError):
    """A copy that does not hold, or does not find, what the catalogue does."""


@dataclass(frozen=True, slots=True)
class CatalogCopy:
    """What was copied where, and how it was compared."""

    to: str
    collections: int
    items: int
    searches: int
    """Searches that found the same in both; of files, 0: they were read again and compared."""

    def document(self) -> Document:
        """As JSON."""
        return {
            "to": self.to,
            "collections": self.collections,
            "items": self.items,
            "searches": self.searches,
        }


def export_catalog(workspace: "Workspace", to: str) -> CatalogCopy:
    """Catalogue -> another catalogue by URL, ``.ndjson``, ``.parquet``, or a folder of static STAC.

    ``CopyError`` where the copy, counted and asked afterwards, is not what was copied.
    """
    source = workspace.catalog
    if "://" in to:
        return _to_catalog(source, to)
    path = Path(to).absolute()
    if path.suffix in (".ndjson", ".jsonl"):
        return _to_lines(source, path)
    if path.suffix in (".parquet", ".geoparquet"):
        return _to_parquet(source, path)
    if path.suffix:
        raise RequestError(
            f"{to}: give postgresql://… or sqlite:///…, FILE.ndjson, FILE.parquet, or a folder"
        )
    return _to_folder(source, path)


def _to_catalog(source: CatalogBackend, url: str) -> CatalogCopy:
    if url == source.url:
        raise RequestError("that is the catalogue itself: name another one")
    with open_catalog(url) as target:
        collections = source.collections()
        target.upsert_collections(collections)
        count = 0
        for batch in _batches(search_all(source, ALL)):
            count += target.upsert_items(batch).total
        searches = _compared(source, target, count)
    return CatalogCopy(shown_url(url), len(collections), count, searches)


def _compared(source: CatalogBackend, target: CatalogBackend, count: int) -> int:
    """Ask both the same; how many searches agreed."""
    there = {each["id"]: each for each in target.collections()}
    for each in source.collections():
        if there.get(each["id"]) != each:
            raise CopyError(f"collection {each['id']!r} is not in the copy as it is here")
    names = tuple(each["id"] for each in source.collections())
    if not names:
        return 0
    asked = list(_questions(source, names))
    for query in asked:
        here, other = (_found(each, query) for each in (source, target))
        if here != other:
            raise CopyError(f"a search finds other items in the copy: {_shown(query)}")
    kept = target.search(Query(collections=names, limit=1)).matched
    if kept != count:
        raise CopyError(f"the copy holds {kept} items of these collections, {count} were copied")
    return len(asked)


def _questions(source: CatalogBackend, names: tuple[str, ...]) -> Iterator[Query]:
    """Searches of each kind, about what there is."""
    yield Query(collections=names)
    for name in names:
        own = Query(collections=(name,))
        page = source.search(replace(own, limit=3))
        yield own
        if not page.items:
            continue
        item = page.items[-1]
        first, last = times_of(item)
        yield replace(own, ids=(str(item["id"]),))
        yield replace(own, datetime=(first, last.replace(year=last.year + 1)))
        box, tile = bbox_of(item), tile_of(item)
        if box is not None:
            yield replace(own, bbox=box)
            yield parse_query(collections=[name], intersects=f"POINT ({box[0]} {box[1]})")
        if tile is not None:
            yield replace(own, tiles=(tile,))
    for text in (
        "eo:cloud_cover < 20",
        "NOT eo:cloud_cover >= 50 OR platform LIKE 'sentinel-2%'",
        "T_DURING(datetime, INTERVAL('2019-01-01', '..')) AND created IS NOT NULL",
    ):
        yield parse_query(collections=names, filter=text, sortby="-eo:cloud_cover,id")


def _found(catalog: CatalogBackend, query: Query) -> tuple[list[Document], int | None]:
    """First page of a search whole, and how many items there are."""
    page = catalog.search(replace(query, limit=100))
    return page.items, page.matched


def _shown(query: Query) -> str:
    given = {name: getattr(query, name) for name in Query.__slots__ if getattr(query, name)}
    return str(
        {name: value for name, value in given.items() if name not in ("limit", "superseded")}
    )


def _to_lines(source: CatalogBackend, path: Path) -> CatalogCopy:
    """Items a line each, as pypgstac loads them; collections in a file of that kind beside."""
    beside = path.with_name(f"{path.stem}.collections{path.suffix}")
    require_file(path)
    require_file(beside)
    collections = source.collections()
    with staged(path) as stage:
        fresh, others = stage / path.name, stage / beside.name
        count = _write_lines(fresh, search_all(source, ALL))
        _write_lines(others, collections)
        _same(source, _lines(fresh))
        put_file(others, beside)
        put_file(fresh, path)
    return CatalogCopy(str(path), len(collections), count, 0)


def _write_lines(path: Path, documents: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")
            count += 1
    return count


def _lines(path: Path) -> Iterator[Document]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _same(source: CatalogBackend, copied: Iterable[Document]) -> None:
    """``CopyError`` where what was read again is not what the catalogue holds, item by item."""
    rest = iter(copied)
    for item in search_all(source, ALL):
        if next(rest, None) != item:
            raise CopyError(f"item {item['id']!r} is not in the copy as it is here; copy again")
    if next(rest, None) is not None:
        raise CopyError("the copy holds more items than there are; copy again")


def _to_parquet(source: CatalogBackend, path: Path) -> CatalogCopy:
    """Items as stac-geoparquet; its columns keep times to the millisecond, and no empty objects."""
    import asyncio

    try:
        import rustac
    except ImportError:
        raise RequestError("stac-geoparquet needs rustac; install clearcube[geoparquet]") from None
    require_file(path)
    items = list(search_all(source, ALL))
    if not items:
        raise RequestError("the catalogue is empty: there is nothing to write")
    for item in items:
        if item.get("geometry") is None:
            raise RequestError(
                f"item {item['id']!r} has no geometry, and stac-geoparquet needs one"
            )
    with staged(path) as stage:
        fresh = stage / path.name

        async def written() -> Any:
            await rustac.write(str(fresh), [_without_empty(item) for item in items])
            return await rustac.read(str(fresh))

        back = asyncio.run(written())["features"]
        names = [(item["collection"], item["id"], item["bbox"]) for item in items]
        if [(item["collection"], item["id"], list(item["bbox"])) for item in back] != names:
            raise CopyError(f"{path.name} does not hold the {len(items)} items of the catalogue")
        put_file(fresh, path)
    return CatalogCopy(str(path), len({item["collection"] for item in items}), len(items), 0)


def _without_empty(value: Any) -> Any:
    """JSON without its empty objects: Parquet has no column for them."""
    if isinstance(value, dict):
        parts = {name: _without_empty(part) for name, part in value.items()}
        return {name: part for name, part in parts.items() if part != {}}
    return [_without_empty(part) for part in value] if isinstance(value, list) else value


def _to_folder(source: CatalogBackend, path: Path) -> CatalogCopy:
    """A static catalogue: ``catalog.json``, a folder for each collection, one for each item."""
    require_folder(path)
    collections = source.collections()
    count = 0
    with staged(path) as stage:
        root = stage / "catalog"
        root.mkdir()
        for collection in collections:
            members = []
            name = str(collection["id"])
            for item in search_all(source, Query(collections=(name,), limit=BATCH)):
                own = root / name / item["id"] / f"{item['id']}.json"
                _write(own, _static_item(item))
                members.append(str(item["id"]))
                if json.loads(own.read_text("utf-8"))["properties"] != item["properties"]:
                    raise CopyError(f"item {item['id']!r} is not in the copy as it is here")
            _write(root / name / "collection.json", _static_collection(collection, members))
            count += len(members)
        links = [_link("child", f"./{each['id']}/collection.json") for each in collections]
        document = {
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": "clearcube",
            "description": "A catalogue of clearcube.",
            "links": [_link("root", "./catalog.json"), *links],
        }
        _write(root / "catalog.json", document)
        matched = source.search(Query(limit=1)).matched
        if matched != count or len(list(root.glob("*/*/*.json"))) != count:
            raise CopyError(f"{count} items were written, the catalogue holds {matched}")
        put_folder(root, path, {"items": count})
    return CatalogCopy(str(path), len(collections), count, 0)


def _static_item(item: Document) -> Document:
    own = [
        _link("root", "../../catalog.json"),
        _link("parent", "../collection.json"),
        _link("collection", "../collection.json"),
    ]
    return {**item, "links": [*own, *_others(item, "../..")]}


def _static_collection(collection: Document, members: Iterable[str]) -> Document:
    own = [_link("root", "../catalog.json"), _link("parent", "../catalog.json")]
    items = [_link("item", f"./{name}/{name}.json", "application/geo+json") for name in members]
    return {**collection, "links": [*own, *_others(collection, ".."), *items]}


def _others(document: Document, up: str) -> list[Document]:
    """Links to what is not of the tree itself; those between items as the folders lie."""
    kept = []
    for link in document.get("links", []):
        if link.get("rel") in ("self", "root", "parent", "collection", "child", "item", "items"):
            continue
        parts = str(link.get("href", "")).split("/")
        if parts[:2] == ["..", ".."] and len(parts) == 5 and parts[3] == "items":
            link = {**link, "href": f"{up}/{parts[2]}/{parts[4]}/{parts[4]}.json"}
        kept.append(link)
    return kept


def _link(rel: str, href: str, media_type: str = "application/json") -> Document:
    return {"rel": rel, "href": href, "type": media_type}


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _batches(items: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
