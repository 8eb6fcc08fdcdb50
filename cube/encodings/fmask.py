"""Fmask: the values of version 4, and the bits of the HLS version 2 product."""

from cube.classes import (
    CLEAR,
    CLOUD,
    CLOUD_SHADOW,
    NO_OBSERVATION,
    SNOW,
    THIN_CLOUD,
    WATER,
)
from cube.encodings._declaration import Bit, Encoding, Field, Value

ENCODINGS = (
    Encoding(
        name="fmask",
        title="Fmask 4",
        dtype="uint8",
        reads=("fmask",),
        resolution=20,
        source="Fmask 4 user guide, output values",
        values=(
            Value(0, "clear_land", "clear land", CLEAR),
            Value(1, "clear_water", "clear water", WATER),
            Value(2, "cloud_shadow", "cloud shadow", CLOUD_SHADOW),
            Value(3, "snow", "snow", SNOW),
            Value(4, "cloud", "cloud", CLOUD),
            Value(255, "fill", "fill, no observation", NO_OBSERVATION),
        ),
    ),
    Encoding(
        name="hls-fmask",
        title="Fmask of Harmonized Landsat Sentinel-2 (HLS v2)",
        dtype="uint8",
        reads=("fmask",),
        resolution=30,
        source="HLS v2 user guide, Fmask quality layer",
        bits=(
            Bit(0, "cirrus", "cirrus (reserved)", THIN_CLOUD),
            Bit(1, "cloud", "cloud", CLOUD),
            Bit(2, "adjacent", "next to a cloud or shadow", CLEAR, THIN_CLOUD),
            Bit(3, "cloud_shadow", "cloud shadow", CLOUD_SHADOW),
            Bit(4, "snow_or_ice", "snow or ice", SNOW),
            Bit(5, "water", "water", WATER),
            Field(
                6,
                2,
                "aerosol",
                "aerosol level",
                (
                    Value(0, "climatology", "climatology", CLEAR),
                    Value(1, "low", "low", CLEAR),
                    Value(2, "moderate", "moderate", CLEAR),
                    Value(3, "high", "high", CLEAR, THIN_CLOUD),
                ),
            ),
        ),
        nodata=255,
    ),
)
