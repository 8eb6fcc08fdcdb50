"""Sen2Cor's scene classification, the SCL band of ESA's L2A products."""

from cube.classes import (
    CLEAR,
    CLOUD,
    CLOUD_SHADOW,
    NO_OBSERVATION,
    SNOW,
    THIN_CLOUD,
    WATER,
)
from cube.encodings._declaration import Encoding, Option, Options, Value, class_of_value

_UNCLASSIFIED = 7

_VALUES = (
    Value(0, "no_data", "no data", NO_OBSERVATION),
    Value(1, "saturated_or_defective", "saturated or defective", NO_OBSERVATION),
    Value(2, "dark_area", "dark area, topographic or cast shadow", CLEAR, CLOUD_SHADOW),
    Value(3, "cloud_shadow", "cloud shadow", CLOUD_SHADOW),
    Value(4, "vegetation", "vegetation", CLEAR),
    Value(5, "not_vegetated", "not vegetated", CLEAR),
    Value(6, "water", "water", WATER),
    Value(_UNCLASSIFIED, "unclassified", "unclassified", THIN_CLOUD),
    Value(8, "cloud_medium_probability", "cloud, medium probability", CLOUD),
    Value(9, "cloud_high_probability", "cloud, high probability", CLOUD),
    Value(10, "thin_cirrus", "thin cirrus", THIN_CLOUD),
    Value(11, "snow_or_ice", "snow or ice", SNOW),
)


def _classify(value: int, reading: str, options: Options) -> int:
    # The strict reading has the last word: a pixel nobody could classify is suspicious.
    if value == _UNCLASSIFIED and options["unclassified"] == "clear" and reading != "strict":
        return CLEAR
    return class_of_value(_VALUES, value, reading)


ENCODINGS = (
    Encoding(
        name="scl",
        title="Sen2Cor scene classification (ESA L2A)",
        dtype="uint8",
        reads=("scl",),
        resolution=20,
        source="Sentinel-2 Products Specification Document, scene classification",
        values=_VALUES,
        options=(
            Option(
                "unclassified",
                "thin",
                "what SCL 7, unclassified, is taken for",
                choices=("thin", "clear"),
            ),
        ),
        classify_value=_classify,
    ),
)
