"""MG2, the geophysical raster of MUSCATE products (MAJA): water, snow, shadows, terrain."""

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, SNOW, WATER
from cube.encodings._declaration import Bit, Encoding, Option, Options, class_of_bits

WATER_BIT = 0
SNOW_BIT = 2
_TOPOGRAPHIC_SHADOW_BIT = 4
_HIDDEN_BIT = 5

BITS = (
    Bit(WATER_BIT, "water", "water", WATER),
    Bit(1, "all_clouds", "cloud (any kind)", CLOUD),
    Bit(SNOW_BIT, "snow", "snow", SNOW),
    Bit(3, "cloud_shadow", "shadow of a cloud, seen or outside the image", CLOUD_SHADOW),
    Bit(
        _TOPOGRAPHIC_SHADOW_BIT,
        "topographic_shadow",
        "shadow of the terrain (bits 4 and 5 are swapped in files of some writers)",
        CLEAR,
        CLOUD_SHADOW,
    ),
    Bit(
        _HIDDEN_BIT,
        "hidden",
        "hidden from the sensor by the terrain (bits 4 and 5 are swapped in files of some writers)",
        NO_OBSERVATION,
    ),
    Bit(6, "sun_too_low", "sun too low for a correct slope correction", CLEAR, CLOUD_SHADOW),
    Bit(7, "tangent_sun", "sun tangent to the slope", CLEAR, CLOUD_SHADOW),
)

ORDER = Option(
    "mg2_order",
    "documented",
    "order of MG2 bits 4 and 5: shadow of the terrain then hidden as documented, "
    "or the other way round as MAJA 4.2 writes them",
    choices=("documented", "writer-4.2"),
)


def classify(value: int, reading: str, options: Options) -> int:
    """One MG2 value -> class; MG2 bits 4 and 5 in the order that the options name."""
    if options["mg2_order"] == "writer-4.2":
        value = _swapped(value)
    return class_of_bits(BITS, value, reading)


def classify_ground(value: int, reading: str, options: Options) -> int:
    """One MG2 value beside CLM -> snow, water or clear; all its bits count when strict."""
    if reading == "strict":
        return classify(value, reading, options)
    return class_of_bits(BITS, value & (1 << SNOW_BIT | 1 << WATER_BIT), reading)


def _swapped(value: int) -> int:
    fourth = value >> _TOPOGRAPHIC_SHADOW_BIT & 1
    fifth = value >> _HIDDEN_BIT & 1
    rest = value & ~(1 << _TOPOGRAPHIC_SHADOW_BIT | 1 << _HIDDEN_BIT)
    return rest | fifth << _TOPOGRAPHIC_SHADOW_BIT | fourth << _HIDDEN_BIT


ENCODINGS = (
    Encoding(
        name="mg2",
        title="MAJA geophysical mask (MUSCATE MG2)",
        dtype="uint8",
        reads=("mg2",),
        resolution=10,
        source="Theia, MUSCATE L2A product format, MG2",
        bits=BITS,
        options=(ORDER,),
        classify_value=classify,
    ),
)
