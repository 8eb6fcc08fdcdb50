"""Product -> STAC item, as a plain JSON document."""

from typing import Any

from catalog.items import collection_link, extensions_of, utc_text
from catalog.products.bands import BY_ESA
from catalog.products.classes import band_classes, classes_of
from catalog.products.outline import geometry_and_bbox
from catalog.products.product import Angles, Product, ProductAsset

COLLECTIONS = {
    "l1c": "sentinel-2-l1c",
    "l2a": "sentinel-2-l2a",
    "maja": "sentinel-2-l2a-maja",
    "l3a": "sentinel-2-l3a-maja",
}
"""Level of a product -> its collection."""


def product_item(product: Product) -> dict[str, Any]:
    """Product -> STAC 1.1 item with absolute hrefs; absent facts are absent fields."""
    geometry, bbox = geometry_and_bbox(product.footprint)
    collection = COLLECTIONS[product.level]
    document: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": product.id,
        "collection": collection,
        "geometry": geometry,
        "bbox": bbox,
        "properties": _properties(product),
        "links": [collection_link(collection)],
        "assets": {asset.key: _asset(asset, product.epsg) for asset in product.assets},
    }
    return {**document, "stac_extensions": _extensions(document)}


def _properties(product: Product) -> dict[str, Any]:
    return _known(
        {
            "datetime": utc_text(product.acquired),
            **_span(product),
            "platform": product.platform,
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "grid:code": f"MGRS-{product.tile}",
            "proj:code": f"EPSG:{product.epsg}",
            "eo:cloud_cover": product.cloud_cover,
            "eo:snow_cover": product.snow_cover,
            **_sun(product.sun),
            **_view(product.view),
            "sat:relative_orbit": product.relative_orbit,
            "sat:absolute_orbit": product.absolute_orbit,
            "sat:orbit_state": product.orbit_state,
            "processing:level": "L2A" if product.level == "maja" else product.level.upper(),
            "s2:product_uri": product.uri,
            "s2:processing_baseline": product.baseline,
            "s2:datatake_id": product.datatake_id,
            "s2:datastrip_id": product.datastrip_id,
            "s2:granule_id": product.granule_id,
            "s2:generation_time": utc_text(product.generated) if product.generated else None,
            "clearcube:level": product.level,
            "clearcube:version": product.version,
        }
    )


def _asset(asset: ProductAsset, epsg: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "href": asset.href,
        "type": asset.media_type,
        "roles": list(asset.roles),
        "gsd": asset.gsd,
        "clearcube:file": asset.file,
        "clearcube:band": asset.file_band,
        "clearcube:encoding": asset.encoding,
        "clearcube:saturated": asset.saturated,
        "file:size": asset.size,
        **_view(asset.view),
    }
    if asset.grid:
        fields["proj:shape"] = list(asset.grid.shape)
        fields["proj:transform"] = list(asset.grid.transform)
        if asset.grid.epsg != epsg:
            fields["proj:code"] = f"EPSG:{asset.grid.epsg}"
    if asset.band and "alternate" not in asset.roles:
        fields["eo:bands"] = [_eo_band(asset.band)]
    if asset.data_type:
        fields["raster:bands"] = _raster_bands(asset)
    if asset.encoding:
        fields.update(classes_of(asset.encoding, asset.gsd))
    return _known(fields)


def _eo_band(name: str) -> dict[str, Any]:
    band = BY_ESA[name]
    return {
        "name": band.esa,
        "common_name": band.common_name,
        "center_wavelength": band.centre,
        "full_width_half_max": band.width,
    }


def _raster_bands(asset: ProductAsset) -> list[dict[str, Any]]:
    fields = _known(
        {
            "data_type": asset.data_type,
            "nodata": asset.nodata,
            "scale": asset.scale,
            "offset": asset.offset,
            "spatial_resolution": asset.gsd,
        }
    )
    meanings = band_classes(asset.encoding or "") or [{}] * asset.count
    return [{**fields, **each} for each in meanings]


def _span(product: Product) -> dict[str, str]:
    if product.span is None:
        return {}
    return dict(zip(("start_datetime", "end_datetime"), map(utc_text, product.span), strict=True))


def _sun(sun: Angles | None) -> dict[str, float]:
    if sun is None:
        return {}
    return {"view:sun_azimuth": sun.azimuth, "view:sun_elevation": 90.0 - sun.zenith}


def _view(view: Angles | None) -> dict[str, float]:
    if view is None:
        return {}
    return {"view:azimuth": view.azimuth, "view:off_nadir": view.zenith}


def _extensions(document: dict[str, Any]) -> list[str]:
    """Extensions used by the item, its assets and the bands of its rasters."""
    bands = [
        each for asset in document["assets"].values() for each in asset.get("raster:bands", [])
    ]
    inner = {f"band {number}": band for number, band in enumerate(bands)}
    return extensions_of({**document, "assets": document["assets"] | inner})


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
