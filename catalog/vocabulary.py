"""Items of any STAC source in the words of this catalogue: asset keys, grids, scale and offset.

Sources differ in how they call a band, where they say its scale, and whether the offset of
processing baselines from 04.00 on is still in the pixels. What is decided here stays in the item.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from catalog.backends.base import ITEM_ID, Document
from catalog.errors import CatalogError, QueryError, SourceError
from catalog.fingerprint import fingerprint
from catalog.footprint import bounds_of
from catalog.items import EXTENSIONS, collection_link, extensions_of, validate_item
from catalog.products.bands import BANDS
from catalog.radiometry import radiometry
from catalog.search import normalise_tile


@dataclass(frozen=True, slots=True)
class Found:
    """An item of a source, in the words of this catalogue."""

    item: Document
    warnings: tuple[str, ...] = ()
    """What was assumed or contradicted itself; each a line that names the item."""


def normalise_item(source: Mapping[str, Any], collection: str | None = None) -> Found:
    """Item of a STAC source with absolute hrefs -> the item of this catalogue, validated.

    Takes what Earth Search (v0, v1), Planetary Computer, the Copernicus Data Space and this
    catalogue write. ``collection`` is that of an item which names none. ``SourceError`` where it
    is no item, or not of Sentinel-2 L1C or L2A.
    """
    item = deepcopy(dict(source))
    _check(item)
    properties = item["properties"]
    if "clearcube:job" in properties:
        # Made by this program, elsewhere.
        return Found(item)
    if "clearcube:version" in properties and properties.get("clearcube:level") in _OWN_LEVELS:
        # In our words already: what was decided once stays.
        item["collection"] = item.get("collection") or collection
        return _finished(item, [])
    level = _level(item, collection)
    warnings: list[str] = []
    _rename(properties, item["id"])
    version = _version(item)
    item["stac_version"] = "1.1.0"
    item["collection"] = item.get("collection") or collection or _COLLECTIONS[level]
    if not item.get("bbox") and item.get("geometry") is not None:
        item["bbox"] = list(bounds_of(item["geometry"]))
    _describe(properties, level, version)
    _name_tile(item, warnings)
    item["assets"] = _assets(item["assets"])
    _place(item)
    warnings += radiometry(item, level)
    item["stac_extensions"] = _extensions(item)
    return _finished(item, warnings)


# Words of the sources. A key is matched whole, in small letters, `-` as `_`.

_KEYS = {
    **{band.key: band.key for band in BANDS},
    **{band.esa.lower(): band.key for band in BANDS},
    **{band.muscate.lower(): band.key for band in BANDS},
    "scl": "scl",
    "aot": "aot",
    "wvp": "wvp",
    "cld": "cldprb",
    "cloud": "cldprb",
    "cldprb": "cldprb",
    "snw": "snwprb",
    "snow": "snwprb",
    "snwprb": "snwprb",
    "tci": "visual",
    "visual": "visual",
    "thumbnail": "thumbnail",
    "preview": "thumbnail",
    "product_metadata": "metadata",
    "granule_metadata": "granule_metadata",
}
_RESOLUTIONS = {
    **{band.key: band.resolution for band in BANDS},
    "scl": 20,
    "aot": 20,
    "wvp": 20,
    "cldprb": 20,
    "snwprb": 20,
    "visual": 10,
}
"""The delivery to take where a source has several: nominal for bands, 20 m for what the
atmospheric correction makes at 20 m."""
_COMMON_NAMES = {
    band.common_name: band.key for band in BANDS if band.common_name == band.key
}  # "rededge" names three bands, hence none
_SUFFIX = re.compile(r"_(10|20|60)m$")
_LEVELS = {
    **dict.fromkeys(("l1c", "l1", "level-1c", "level-1", "S2MSI1C"), "l1c"),
    **dict.fromkeys(("l2a", "l2", "level-2a", "level-2", "S2MSI2A"), "l2a"),
}
_PRODUCT_TYPES = ("s2:product_type", "product:type")
_COLLECTIONS = {"l1c": "sentinel-2-l1c", "l2a": "sentinel-2-l2a", "maja": "sentinel-2-l2a-maja"}
_OWN_LEVELS = {*_COLLECTIONS, "l3a"}
_SYNTHESIS = re.compile(r"(?:^|[_-])L3A(?:$|[_-])", re.IGNORECASE)
_ID_LEVEL = re.compile(r"(?:^|[_-])(?:MSI)?(L1C|L2A)(?:$|[_-])", re.IGNORECASE)
_ID_TILE = re.compile(r"_(?:MGRS-)?T?(\d{1,2}[C-X][A-Z]{2})(?:_|$)")
_RENAMED = {
    "s2:processing_baseline": ("sentinel:processing_baseline",),
    "s2:generation_time": ("processing:datetime",),
    "s2:product_uri": ("sentinel:product_id",),
    "s2:datatake_id": ("eopf:datatake_id",),
    "s2:datastrip_id": ("eopf:datastrip_id",),
}
_ID_BASELINE = re.compile(r"_N(\d\d)(\d\d)_")
_BASELINE = re.compile(r"\d\d\.\d\d")
_MAJA = re.compile(r"maja|muscate|theia", re.IGNORECASE)


def _check(item: Document) -> None:
    """Refuse what is no item before anything is read from it."""
    if item.get("type") != "Feature" or not isinstance(item.get("properties"), dict):
        raise SourceError(f"{item.get('id')!r} is no STAC item")
    if not isinstance(item.get("id"), str) or not ITEM_ID.fullmatch(item["id"]):
        raise SourceError(f"item {item.get('id')!r}: an id holds A-Z a-z 0-9 _ . - only")
    assets = item.get("assets")
    if not isinstance(assets, dict) or not all(
        isinstance(asset, dict) and isinstance(asset.get("href"), str) for asset in assets.values()
    ):
        raise SourceError(f"item {item['id']!r}: its assets have no hrefs")


def _finished(item: Document, warnings: list[str]) -> Found:
    """Item with the links of this catalogue, found valid."""
    item["links"] = [collection_link(item["collection"]), *_origin(item.get("links") or [])]
    try:
        validate_item(item)
    except CatalogError as error:
        raise SourceError(str(error)) from None
    return Found(item, tuple(f"{item['id']}: {text}" for text in warnings))


def _level(item: Document, collection: str | None) -> str:
    """``l1c``, ``l2a`` or ``maja``, from what the item says of itself."""
    properties = item["properties"]
    name = str(item.get("collection") or collection or "")
    if properties.get("clearcube:level") in _COLLECTIONS:
        return str(properties["clearcube:level"])
    if any(_SYNTHESIS.search(text) for text in (name, item["id"])):
        raise SourceError(f"item {item['id']!r} is a synthesis of level 3A, no scene")
    facility = str(properties.get("processing:facility", ""))
    if any(_MAJA.search(text) for text in (name, facility, item["id"])):
        return "maja"
    known = (
        *(str(properties.get(field, "")) for field in ("constellation", "platform", "mission")),
        name,
        item["id"],
    )
    if not any(re.search(r"sentinel[-_ ]?2|^S2", text, re.IGNORECASE) for text in known):
        raise SourceError(f"item {item['id']!r} is not of Sentinel-2")
    said = str(properties.get("processing:level", "")).lower()
    for text in (said, *(str(properties.get(field)) for field in _PRODUCT_TYPES)):
        if text in _LEVELS:
            return _LEVELS[text]
    for text in (item["id"], name):
        found = _ID_LEVEL.search(text)
        if found is not None:
            return found[1].lower()
    raise SourceError(f"item {item['id']!r} does not say whether it is L1C or L2A")


def _rename(properties: Document, item_id: str) -> None:
    """Baseline, generation and datastrip under ESA's names, from wherever the source says them."""
    for name, others in _RENAMED.items():
        said = [properties[other] for other in others if properties.get(other)]
        if said:
            properties.setdefault(name, said[0])
    found = _ID_BASELINE.search(f"{properties.get('s2:product_uri', '')} {item_id}")
    for text in (
        properties.pop("s2:processing_baseline", None),
        properties.get("processing:version"),
        f"{found[1]}.{found[2]}" if found else None,
    ):
        if _BASELINE.fullmatch(str(text)):
            properties["s2:processing_baseline"] = str(text)
            return


def _version(item: Document) -> str:
    """Text that changes whenever the delivery does."""
    properties = item["properties"]
    if properties.get("clearcube:version"):
        return str(properties["clearcube:version"])
    names = ("s2:processing_baseline", "s2:generation_time", "s2:product_uri", "version")
    said = [str(properties[name]) for name in names if properties.get(name)]
    if said:
        return " ".join(said)
    files = {
        key: [_tail(asset["href"]), asset.get("file:size"), asset.get("file:checksum")]
        for key, asset in item["assets"].items()
    }
    return fingerprint(files)


def _tail(href: str) -> str:
    """Folder and file of an href: what stays when the whole source is moved."""
    return "/".join(href.split("?")[0].rsplit("/", 2)[-2:])


def _describe(properties: Document, level: str, version: str) -> None:
    """What every raw item says, by one name each."""
    properties["clearcube:level"] = level
    properties["clearcube:version"] = version
    properties["processing:level"] = "L1C" if level == "l1c" else "L2A"
    properties["constellation"] = "sentinel-2"
    if isinstance(properties.get("platform"), str):
        properties["platform"] = properties["platform"].lower()
    properties.setdefault("instruments", ["msi"])


def _name_tile(item: Document, warnings: list[str]) -> None:
    """``grid:code``, from wherever the source says it."""
    properties = item["properties"]
    for text in _tile_texts(item):
        try:
            properties["grid:code"] = f"MGRS-{normalise_tile(text)}"
            break
        except QueryError:
            continue
    else:
        properties.pop("grid:code", None)
        warnings.append("no MGRS tile is named, so that no job will find it")


def _tile_texts(item: Document) -> list[str]:
    properties = item["properties"]
    texts = [properties.get("grid:code"), properties.get("s2:mgrs_tile")]
    for prefix in ("mgrs", "sentinel"):
        zone = properties.get(f"{prefix}:utm_zone")
        letters = (properties.get(f"{prefix}:{part}") for part in ("latitude_band", "grid_square"))
        texts.append("".join(str(part) for part in (zone, *letters)))
    found = _ID_TILE.search(item["id"])
    texts.append(found[1] if found else None)
    return [text for text in texts if isinstance(text, str)]


def _assets(given: Mapping[str, Document]) -> Document:
    """Assets by our keys, the best of each; those that have no key of ours keep their own."""
    chosen: dict[str, tuple[tuple[int, ...], str]] = {}
    other: Document = {}
    for source_key, asset in given.items():
        key = _key(source_key, asset)
        if key is None:
            other[source_key] = asset
            continue
        merit = _merit(key, source_key, asset)
        if key not in chosen or merit > chosen[key][0]:
            chosen[key] = (merit, source_key)
    named = {}
    for key, (_, source_key) in chosen.items():
        asset = given[source_key]
        asset.setdefault("clearcube:source_key", source_key)
        named[key] = asset
    return {**named, **{key: asset for key, asset in other.items() if key not in named}}


def _key(source_key: str, asset: Document) -> str | None:
    """Our key of an asset: by its own key, or else by the one band that it holds."""
    plain = source_key.lower().replace("-", "_").removesuffix("_jp2")
    key = _KEYS.get(_SUFFIX.sub("", plain))
    if key is not None:
        return key
    bands = asset.get("eo:bands") or asset.get("bands") or []
    if len(bands) != 1 or {"thumbnail", "overview", "visual"} & set(asset.get("roles") or ()):
        return None
    name = str(bands[0].get("name", "")).lower()
    common = bands[0].get("common_name", bands[0].get("eo:common_name"))
    found = _KEYS.get(name) or _COMMON_NAMES.get(str(common))
    return found if found in _RESOLUTIONS else None


def _merit(key: str, source_key: str, asset: Document) -> tuple[int, ...]:
    """What decides between assets of one key: resolution wanted, then finer; then COG over JP2."""
    suffix = _SUFFIX.search(source_key)
    wanted = _RESOLUTIONS.get(key, 0)
    resolution = int(suffix[1]) if suffix else wanted
    is_jp2 = "jp2" in str(asset.get("type", "")) or source_key.endswith("jp2")
    return (resolution == wanted, -resolution, not is_jp2)


def _place(item: Document) -> None:
    """``proj:*`` as version 2 of the extension has it; on assets what the item says for all."""
    properties = item["properties"]
    _code(properties)
    rasters = [asset for key, asset in item["assets"].items() if key in _RESOLUTIONS]
    for asset in rasters:
        _code(asset)
    codes = {asset["proj:code"] for asset in rasters if asset.get("proj:code")}
    if not properties.get("proj:code") and len(codes) == 1:
        properties["proj:code"] = codes.pop()
    shared = {name: properties.pop(name, None) for name in ("proj:shape", "proj:transform")}
    for asset in rasters:
        if asset.get("proj:code") == properties.get("proj:code"):
            asset.pop("proj:code", None)
        if "proj:shape" not in asset and "proj:transform" not in asset:
            asset |= {name: value for name, value in shared.items() if value}
        if isinstance(asset.get("proj:transform"), list):
            asset["proj:transform"] = asset["proj:transform"][:6]


def _code(fields: Document) -> None:
    epsg = fields.pop("proj:epsg", None)
    if epsg is not None and not fields.get("proj:code"):
        fields["proj:code"] = f"EPSG:{epsg}"


def _origin(links: list[Document]) -> list[Document]:
    """Link to where the item came from, if it says so."""
    for rel in ("via", "self"):
        for link in links:
            if link.get("rel") == rel and isinstance(link.get("href"), str):
                return [{"rel": "via", "href": link["href"], "type": "application/geo+json"}]
    return []


def _extensions(item: Document) -> list[str]:
    """Schemas of the fields as they are now, and the source's own of other fields."""
    names = {uri.split("/")[3] for uri in EXTENSIONS.values()}
    kept = [
        uri
        for uri in item.get("stac_extensions") or []
        if "://" in str(uri) and not any(f"/{name}/" in uri for name in names)
    ]
    return [*extensions_of(item), *kept]
