"""The STAC Collections served: one per kind and method, so that its items have the same assets."""

from collections.abc import Iterable, Mapping
from typing import Any

from catalog.backends.base import ITEM_ID, CatalogBackend, Counts, Document
from catalog.errors import CatalogError, ItemNotFoundError
from catalog.footprint import Bbox, bbox_of
from catalog.items import EXTENSIONS, NAME, schema_fault, utc_text
from catalog.products.bands import BANDS, Band
from catalog.search import instant, times_of
from catalog.summaries import renders, summaries

L1C = "sentinel-2-l1c"
L2A = "sentinel-2-l2a"
MAJA = "sentinel-2-l2a-maja"
L3A = "sentinel-2-l3a-maja"
DEM = "dem"
CUBES = "cubes"

RAW = (L1C, L2A, MAJA)
"""Collections of products as delivered."""

ATTRIBUTION = "Contains modified Copernicus Sentinel data"
"""What users of Sentinel data are to say (legal notice on the use of Sentinel data, 2014)."""

UNKNOWN_EXTENT: Document = {
    "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
    "temporal": {"interval": [[None, None]]},
}
"""Extent of a collection without items: it says nothing."""


def cloud_mask_collection(method: str) -> str:
    """Method -> id of the collection of its masks, e.g. ``cloud-mask-scl``."""
    return f"cloud-mask-{_checked(method)}"


def synthesis_collection(method: str) -> str:
    """Method -> id of the collection of its syntheses, e.g. ``synthesis-wasp``."""
    return f"synthesis-{_checked(method)}"


def collection_document(collection_id: str, items: Iterable[Mapping[str, Any]] = ()) -> Document:
    """Collection of an id, with the extent of its items; one of another source is named so."""
    kind, method = _kind(collection_id)
    title, description = (text.format(method=method) for text in _TEXTS[kind])
    document: Document = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": collection_id,
        "title": title if kind != "other" else collection_id,
        "description": description,
        "keywords": ["sentinel-2", *_KEYWORDS.get(kind, ())],
        "license": "etalab-2.0" if kind in (MAJA, L3A) else "other",
        "providers": _providers(kind),
        "extent": UNKNOWN_EXTENT,
        "links": _links(kind),
    }
    publications = _publications(kind, method)
    if publications:
        document["sci:publications"] = publications
    assets = _item_assets(kind)
    if assets:
        document["item_assets"] = assets
    if kind not in (DEM, "other"):
        coarsest = 60 if kind in (L1C, L2A) else 20
        document["summaries"] = summaries(_LEVELS.get(kind), coarsest=coarsest)
    if kind == CUBES:  # whose assets are stores of all bands
        bands = [_eo_band(band) for band in BANDS if band.resolution <= 20]
        document["summaries"]["eo:bands"] = bands
    if kind == "synthesis":
        document["renders"] = renders()
    document["stac_extensions"] = _extensions(document)
    return widened(document, items)


def widened(collection: Document, items: Iterable[Mapping[str, Any]]) -> Document:
    """Collection with its extent made wide enough for items; the same where it is already."""
    known = collection["extent"] != UNKNOWN_EXTENT
    boxes = [_box(collection["extent"])] if known else []
    interval = collection["extent"]["temporal"]["interval"][0] if known else [None, None]
    starts = [instant(interval[0])] if interval[0] else []
    ends = [instant(interval[1])] if interval[1] else []
    for item in items:
        box = bbox_of(item)
        boxes += [] if box is None else [box]
        first, last = times_of(item)
        starts.append(first)
        ends.append(last)
    if not starts and not boxes:
        return collection
    extent = {
        "spatial": {"bbox": [list(_union(boxes))]} if boxes else UNKNOWN_EXTENT["spatial"],
        "temporal": {
            "interval": [
                [utc_text(min(starts)) if starts else None, utc_text(max(ends)) if ends else None]
            ]
        },
    }
    return {**collection, "extent": extent}


def check_collection(document: Mapping[str, Any]) -> None:
    """Check a collection against the core schema; ``CatalogError`` names its first fault."""
    name = document.get("id")
    if not isinstance(name, str) or not ITEM_ID.fullmatch(name):
        raise CatalogError(f"collection {name!r}: an id holds A-Z a-z 0-9 _ . - only")
    fault = schema_fault(document, "Collection") or _extent_fault(document)
    if fault is not None:
        raise CatalogError(f"collection {name!r} is not valid: {fault}")


def publish(catalog: CatalogBackend, items: Iterable[Document]) -> Counts:
    """Upsert items, all or none, after making or widening the collections that they name."""
    items = list(items)
    by_collection: dict[str, list[Document]] = {}
    for item in items:
        by_collection.setdefault(str(item["collection"]), []).append(item)
    documents = []
    for collection_id, members in by_collection.items():
        try:
            documents.append(widened(catalog.collection(collection_id), members))
        except ItemNotFoundError:
            documents.append(collection_document(collection_id, members))
    catalog.upsert_collections(documents)
    return catalog.upsert_items(items)


def _extent_fault(document: Mapping[str, Any]) -> str | None:
    """What searches of collections rely on."""
    try:
        for box in document["extent"]["spatial"]["bbox"]:
            if len(box) not in (4, 6) or not all(isinstance(each, int | float) for each in box):
                return "extent.spatial.bbox holds lists of 4 or 6 numbers"
        for first, last in document["extent"]["temporal"]["interval"]:
            for each in (first, last):
                if each is not None:
                    instant(each)
    except (KeyError, TypeError, ValueError):
        return "extent.temporal.interval holds pairs of times or null"
    return None


_KINDS = {"cloud-mask-": "cloud-mask", "synthesis-": "synthesis"}
_TEXTS = {
    L1C: (
        "Sentinel-2 Level-1C",
        "Top-of-atmosphere reflectance of Sentinel-2 products by ESA, one item per product.",
    ),
    L2A: (
        "Sentinel-2 Level-2A",
        "Surface reflectance and scene classification of Sentinel-2 products by ESA, one item per "
        "product.",
    ),
    MAJA: (
        "Sentinel-2 Level-2A by MAJA",
        "Surface reflectance, cloud and geophysical masks of Sentinel-2 products made with MAJA in "
        "Theia's MUSCATE format, one item per product.",
    ),
    L3A: (
        "Sentinel-2 Level-3A by WASP",
        "Monthly syntheses of surface reflectance in Theia's MUSCATE format, with weight, date and "
        "status, one item per product. They are for reading beside one's own, and enter no cube.",
    ),
    DEM: ("Elevation", "Terrain height for altitude, slope and land or sea, one item per file."),
    CUBES: (
        "Time cubes",
        "Surface or top-of-atmosphere reflectance and encoded masks of a Sentinel-2 tile through "
        "time, one Zarr store and item per tile and level.",
    ),
    "cloud-mask": (
        "Cloud masks: {method}",
        "Classes of what is seen at each acquisition (0 no observation, 1 clear, 2 cloud, 3 cloud "
        "shadow, 4 thin cloud, 5 snow, 6 water) by {method}, one item per tile and acquisition.",
    ),
    "synthesis": (
        "Syntheses: {method}",
        "Cloud-free surface reflectance of a period by {method}, with weight, date, status and "
        "counts, one item per tile, period and mask.",
    ),
    "other": ("", "Items of another catalogue, as it delivers them."),
}
_KEYWORDS = {
    L1C: ("msi", "l1c", "reflectance"),
    L2A: ("msi", "l2a", "reflectance"),
    MAJA: ("msi", "l2a", "reflectance", "maja", "muscate", "theia"),
    DEM: ("dem", "elevation"),
    CUBES: ("data cube", "zarr", "time series"),
    "cloud-mask": ("cloud mask", "cloud shadow", "snow"),
    L3A: ("msi", "l3a", "synthesis", "wasp", "muscate", "theia"),
    "synthesis": ("synthesis", "l3a", "cloud-free"),
}
_LEVELS = {L1C: "L1C", L2A: "L2A", MAJA: "L2A", L3A: "L3A", "synthesis": "L3A"}
"""Processing level of a collection all of whose items have one."""
_ESA = {"name": "European Space Agency", "roles": ["producer", "licensor"]}
_MASKS = {
    L2A: ("scl",),
    MAJA: ("clm", "mg2", "edg", "sat", "iab"),
    L1C: ("classi",),
}
_TITLES = {
    "scl": "Scene classification",
    "clm": "Clouds and shadows, bit by bit",
    "mg2": "Geophysical mask: water, snow, terrain shadows, bit by bit",
    "edg": "Edge of the image",
    "sat": "Saturated bands, bit by bit",
    "iab": "Interpolated water vapour and aerosol",
    "classi": "Opaque cloud, cirrus and snow",
    "aot": "Aerosol optical thickness at 550 nm",
    "wvp": "Water vapour",
    "mask": "Class of each pixel",
    "bits": "Bits of the mask as its method gives them",
    "thumbnail": "Small picture",
    "weight": "Sum of the weights of the dates used",
    "date": "Weighted mean date, days since 1970-01-01",
    "status": "What each pixel shows: nodata, cloud or shadow, snow, water, land",
    "clear_count": "Clear dates",
    "total_count": "Observed dates",
    "r10m": "Variables at 10 m",
    "r20m": "Variables at 20 m",
    "data": "Height above sea level",
}
_DATE_OF_L3A = {
    "title": "Weighted mean date, days from 1 January of its year, which is 0",
    "roles": ["data", "quality"],
}
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def _checked(method: str) -> str:
    if not NAME.fullmatch(method):
        raise CatalogError(f"method {method!r}: its name holds A-Z a-z 0-9 . - only")
    return method


def _kind(collection_id: str) -> tuple[str, str]:
    """Id -> which of the texts describe it, and the method that it names."""
    for prefix, kind in _KINDS.items():
        if collection_id.startswith(prefix) and len(collection_id) > len(prefix):
            return kind, collection_id.removeprefix(prefix)
    return (collection_id if collection_id in _TEXTS else "other"), ""


def _providers(kind: str) -> list[Document]:
    own = {"name": "clearcube", "roles": ["processor", "host"], "description": f"{ATTRIBUTION}."}
    if kind in (MAJA, L3A):
        theia = {
            "name": "Theia",
            "description": f"{ATTRIBUTION}, processed by CNES for the Theia data centre.",
            "roles": ["processor", "producer", "licensor"],
        }
        return [{**_ESA, "roles": ["producer"]}, theia, {**own, "roles": ["host"]}]
    if kind in (L1C, L2A):
        return [{**_ESA, "description": f"{ATTRIBUTION}."}, {**own, "roles": ["host"]}]
    if kind in (DEM, "other"):
        return [{"name": "clearcube", "roles": ["host"]}]
    return [_ESA, own]


def _links(kind: str) -> list[Document]:
    if kind in (DEM, "other"):
        return []
    return [
        {
            "rel": "license",
            "href": "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice",
            "title": "Legal notice on the use of Copernicus Sentinel data",
        }
    ]


def _extensions(document: Document) -> list[str]:
    """Extensions whose fields a collection, its summaries or its item_assets have."""
    said = [*document, *document.get("summaries", {})]
    said += [key for asset in document.get("item_assets", {}).values() for key in asset]
    return [uri for prefix, uri in EXTENSIONS.items() if any(k.startswith(prefix) for k in said)]


def _publications(kind: str, method: str) -> list[Document]:
    """What is published on the algorithms by which the pixels of a collection were made."""
    names = {L2A: ["sen2cor"], MAJA: ["maja"], L3A: ["maja"]}.get(kind, [])
    if method in ("scl", "mtcd", "wasp"):
        names = {"scl": ["sen2cor"], "mtcd": ["mtcd"], "wasp": ["brdf", "brdf-msi"]}[method]
    return [dict(zip(("doi", "citation"), _PUBLISHED[name], strict=True)) for name in names]


def _item_assets(kind: str) -> Document:
    if kind in RAW:
        masks = {key: _asset(key, "data", "classification") for key in _MASKS[kind]}
        air = {} if kind == L1C else {key: _asset(key, "data") for key in ("aot", "wvp")}
        return {**_band_assets(with_cirrus=kind == L1C), **masks, **air}
    if kind == "cloud-mask":
        return {
            "mask": _asset("mask", "data", "classification", media_type=_COG),
            "bits": _asset("bits", "data", "classification", media_type=_COG),
            "thumbnail": _asset("thumbnail", "thumbnail"),
        }
    if kind == L3A:
        of_l3a = {key: _asset(key, "data", "quality") for key in ("weight", "date", "status")}
        return {**_band_assets(with_cirrus=False), **of_l3a, "date": _DATE_OF_L3A}
    if kind == "synthesis":
        layers = ("weight", "date", "status", "clear_count", "total_count")
        bands = _band_assets(with_cirrus=False)
        return {
            **{key: band for key, band in bands.items() if band["gsd"] <= 20},
            **{key: _asset(key, "data", media_type=_COG) for key in layers},
            "thumbnail": _asset("thumbnail", "thumbnail"),
        }
    if kind == CUBES:
        return {
            key: _asset(key, "data", media_type="application/vnd.zarr") for key in ("r10m", "r20m")
        }
    return {"data": _asset("data", "data")} if kind == DEM else {}


def _band_assets(*, with_cirrus: bool) -> Document:
    return {
        band.key: {
            "title": f"{band.esa}, {band.centre * 1000:.0f} nm",
            "roles": ["data", "reflectance"],
            "gsd": band.resolution,
            "eo:bands": [_eo_band(band)],
        }
        for band in BANDS
        # Cirrus is seen from above only: no surface reflectance has it.
        if with_cirrus or band.key != "cirrus"
    }


def _eo_band(band: Band) -> Document:
    return {
        "name": band.esa,
        "common_name": band.common_name,
        "center_wavelength": band.centre,
        "full_width_half_max": band.width,
    }


def _asset(key: str, *roles: str, media_type: str | None = None) -> Document:
    kind = {} if media_type is None else {"type": media_type}
    return {"title": _TITLES[key], **kind, "roles": list(roles)}


def _box(extent: Mapping[str, Any]) -> Bbox:
    box = bbox_of({"bbox": extent["spatial"]["bbox"][0]})
    if box is None:
        raise CatalogError("a collection has an empty extent")
    return box


def _union(boxes: Iterable[Bbox]) -> Bbox:
    """Box round boxes; the whole round where one of them crosses the antimeridian."""
    boxes = list(boxes)
    crosses = any(box[0] > box[2] for box in boxes)
    west = -180.0 if crosses else min(box[0] for box in boxes)
    east = 180.0 if crosses else max(box[2] for box in boxes)
    return west, min(box[1] for box in boxes), east, max(box[3] for box in boxes)


_PUBLISHED = {
    "sen2cor": (
        "10.1117/12.2278218",
        "Main-Knorn et al. (2017), Sen2Cor for Sentinel-2, Proceedings of SPIE 10427",
    ),
    "maja": (
        "10.3390/rs70302668",
        "Hagolle et al. (2015), A multi-temporal and multi-spectral method to estimate aerosol "
        "optical thickness over land, Remote Sensing 7(3)",
    ),
    "mtcd": (
        "10.1016/j.rse.2010.03.002",
        "Hagolle et al. (2010), A multi-temporal method for cloud detection, Remote Sensing of "
        "Environment 114(8)",
    ),
    "brdf": (
        "10.1016/j.rse.2016.01.023",
        "Roy et al. (2016), A general method to normalize Landsat reflectance data to nadir BRDF "
        "adjusted reflectance, Remote Sensing of Environment 176",
    ),
    "brdf-msi": (
        "10.1016/j.rse.2017.06.019",
        "Roy et al. (2017), Examination of Sentinel-2A multi-spectral instrument reflectance "
        "anisotropy, Remote Sensing of Environment 199",
    ),
}
