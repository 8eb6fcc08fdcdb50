"""Classes of a decoded mask and the order in which they win; what a synthesis shows; colours."""

from collections.abc import Sequence
from dataclasses import dataclass

NO_OBSERVATION = 0
CLEAR = 1
CLOUD = 2
CLOUD_SHADOW = 3
THIN_CLOUD = 4
SNOW = 5
WATER = 6

REFUSED = 255
"""Entry of a decoding table for a value without meaning; never the class of a pixel."""

PRECEDENCE = (NO_OBSERVATION, CLOUD, CLOUD_SHADOW, THIN_CLOUD, SNOW, WATER, CLEAR)
"""Where several classes apply to a pixel, the first of these is its class."""

SEEN = (CLEAR, SNOW, WATER)
"""The classes in which the ground is seen."""


@dataclass(frozen=True, slots=True)
class MaskClass:
    """One class of a decoded mask, or one status of a synthesis."""

    code: int
    name: str
    colour: tuple[int, int, int, int]
    """Red, green, blue and alpha, 0 to 255, for palettes and thumbnails."""
    description: str

    @property
    def hex(self) -> str:
        """Colour without alpha as ``RRGGBB``, the form of STAC's ``color_hint``."""
        return "".join(f"{part:02X}" for part in self.colour[:3])


CLASSES: tuple[MaskClass, ...] = (
    MaskClass(NO_OBSERVATION, "no_observation", (0, 0, 0, 0), "nothing was observed, or no mask"),
    MaskClass(CLEAR, "clear", (122, 166, 90, 255), "the ground is seen"),
    MaskClass(CLOUD, "cloud", (255, 255, 255, 255), "opaque or high cloud"),
    MaskClass(CLOUD_SHADOW, "cloud_shadow", (64, 60, 84, 255), "shadow of a cloud"),
    MaskClass(THIN_CLOUD, "thin_cloud", (196, 208, 222, 255), "thin cloud, cirrus or doubtful"),
    MaskClass(SNOW, "snow", (120, 220, 240, 255), "snow or ice on the ground, seen"),
    MaskClass(WATER, "water", (38, 98, 190, 255), "water, seen"),
)

STATUSES: tuple[MaskClass, ...] = (
    MaskClass(0, "nodata", (217, 217, 217, 0), "never observed"),
    MaskClass(1, "cloud_or_shadow", (228, 87, 107, 255), "never seen clear"),
    MaskClass(2, "snow", (143, 220, 245, 255), "snow on the ground"),
    MaskClass(3, "water", (47, 128, 195, 255), "water"),
    MaskClass(4, "land", (185, 201, 138, 255), "clear land"),
)
"""What a pixel of a synthesis shows, by its code in the layer ``status``."""

NAMES: tuple[str, ...] = tuple(each.name for each in CLASSES)
"""Name of each class, by its code."""


def palette(classes: Sequence[MaskClass] = CLASSES) -> dict[int, tuple[int, int, int, int]]:
    """Code -> (red, green, blue, alpha), as rasterio's ``write_colormap`` takes it."""
    return {each.code: each.colour for each in classes}


def described(classes: Sequence[MaskClass] = CLASSES) -> list[dict[str, int | str]]:
    """Classes as STAC's ``classification:classes`` lists them, colours included."""
    return [
        {"value": c.code, "name": c.name, "description": c.description, "color_hint": c.hex}
        for c in classes
    ]


def first(codes: list[int]) -> int:
    """Classes that apply to one pixel -> the one that wins; ``CLEAR`` where none is given."""
    for code in PRECEDENCE:
        if code in codes:
            return code
    return CLEAR
