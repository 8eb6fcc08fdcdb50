"""What the values and bits of delivered masks mean, in the words of the classification extension."""

from typing import Any

SCL: tuple[tuple[int, str, str], ...] = (
    (0, "no_data", "No data"),
    (1, "saturated_or_defective", "Saturated or defective pixel"),
    (2, "dark_area", "Dark features, topographic and cast shadows"),
    (3, "cloud_shadow", "Cloud shadow"),
    (4, "vegetation", "Vegetation"),
    (5, "not_vegetated", "Not vegetated"),
    (6, "water", "Water"),
    (7, "unclassified", "Unclassified"),
    (8, "cloud_medium_probability", "Cloud, medium probability"),
    (9, "cloud_high_probability", "Cloud, high probability"),
    (10, "thin_cirrus", "Thin cirrus"),
    (11, "snow_or_ice", "Snow or ice"),
)
"""Scene classification of Sen2Cor (Level-2A Algorithm Theoretical Basis Document, section 2)."""

FLG: tuple[tuple[int, str, str], ...] = (
    (0, "nodata", "Never observed"),
    (1, "cloud_or_shadow", "Never seen clear"),
    (2, "snow", "Snow"),
    (3, "water", "Water"),
    (4, "land", "Clear land"),
)
"""Status of the pixels of a synthesis (Theia, level-3A products, pixel status flag)."""

Bits = tuple[tuple[str, str], ...]

CLM: Bits = (
    ("cloud_or_shadow", "Any cloud but the thinnest, or any shadow"),
    ("cloud", "Any cloud but the thinnest"),
    ("cloud_mono_temporal", "Cloud found by thresholds on one date"),
    ("cloud_multi_temporal", "Cloud found by change between dates"),
    ("thin_cloud", "Thinnest clouds"),
    ("shadow", "Shadow of a cloud inside the image"),
    ("shadow_from_outside", "Shadow of a cloud outside the image"),
    ("high_cloud", "High cloud found at 1.38 micrometres"),
)
"""Bits of CLM from the lowest (Theia, Sentinel-2 output format, cloud mask)."""

MG2: Bits = (
    ("water", "Water"),
    ("cloud", "Any cloud but the thinnest"),
    ("snow", "Snow"),
    ("cloud_shadow", "Shadow of a cloud"),
    ("topographic_shadow", "Shadow of the terrain"),
    ("hidden", "Hidden from the satellite by the terrain"),
    ("sun_too_low", "Sun too low for a sure correction of slope"),
    ("sun_tangent", "Sun tangent to the slope"),
)
"""Bits of MG2 from the lowest (Theia, Sentinel-2 output format, geophysical mask)."""

EDG: Bits = (("outside", "Outside of the image"),)
"""The one bit of EDG (Theia, Sentinel-2 output format)."""

IAB: Bits = (
    ("water_vapour_interpolated", "Water vapour interpolated"),
    ("aerosol_interpolated", "Aerosol optical thickness interpolated"),
)
"""Bits of IAB from the lowest (Theia, Sentinel-2 output format)."""

IAO: Bits = (("aerosol_interpolated", "Aerosol optical thickness interpolated"),)
"""The one bit of IAO, its forerunner."""

SAT_BANDS = {10: ("B2", "B3", "B4", "B8"), 20: ("B5", "B6", "B7", "B8A", "B11", "B12")}
"""Metres of a pixel -> bands whose saturation the bits of SAT tell, from the lowest."""

CLASSI: Bits = (
    ("opaque_cloud", "Opaque cloud"),
    ("cirrus", "Cirrus"),
    ("snow_or_ice", "Snow or ice"),
)
"""Bands 1 to 3 of MSK_CLASSI, each 0 or 1 (Sentinel-2 Products Specification Document, 14.9)."""

_CLASSES = {"scl": SCL, "flg": FLG}
_BITS = {"clm": CLM, "mg2": MG2, "edg": EDG, "iab": IAB, "iao": IAO}


def classes_of(encoding: str, gsd: float | None) -> dict[str, Any]:
    """Encoding of a mask -> fields of its asset, empty for one that has no table."""
    if encoding in _CLASSES:
        return {"classification:classes": [_class(*each) for each in _CLASSES[encoding]]}
    if encoding == "sat":
        bands = SAT_BANDS[20 if gsd == 20 else 10]
        bits: Bits = tuple((f"saturated_{band}", f"Saturated in {band}") for band in bands)
        return {"classification:bitfields": _bitfields(bits)}
    if encoding in _BITS:
        return {"classification:bitfields": _bitfields(_BITS[encoding])}
    return {}


def band_classes(encoding: str) -> list[dict[str, Any]]:
    """Encoding with one band a question -> fields of each band, empty for all others."""
    if encoding != "classi":
        return []
    return [{"classification:classes": _no_or_yes(*each)} for each in CLASSI]


def _class(value: int, name: str, description: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"value": value, "name": name, "description": description}
    return {**entry, "nodata": True} if value == 0 else entry


def _bitfields(bits: Bits) -> list[dict[str, Any]]:
    return [
        {
            "offset": offset,
            "length": 1,
            "name": name,
            "description": description,
            "classes": _no_or_yes(name, description),
        }
        for offset, (name, description) in enumerate(bits)
    ]


def _no_or_yes(name: str, description: str) -> list[dict[str, Any]]:
    return [
        {"value": 0, "name": f"no_{name}"},
        {"value": 1, "name": name, "description": description},
    ]
