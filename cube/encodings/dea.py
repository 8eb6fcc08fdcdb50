"""Masks of Digital Earth Australia: Fmask and s2cloudless; its time-series mask has our codes."""

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, SNOW, WATER
from cube.encodings._declaration import Encoding, Value

_SOURCE = "Digital Earth Australia, product pages of the observation attributes"

ENCODINGS = (
    Encoding(
        name="oa-fmask",
        title="Digital Earth Australia Fmask",
        dtype="uint8",
        reads=("oa_fmask",),
        resolution=20,
        source=_SOURCE,
        values=(
            Value(0, "no_data", "no data", NO_OBSERVATION),
            Value(1, "valid", "valid, clear", CLEAR),
            Value(2, "cloud", "cloud", CLOUD),
            Value(3, "cloud_shadow", "cloud shadow", CLOUD_SHADOW),
            Value(4, "snow", "snow", SNOW),
            Value(5, "water", "water", WATER),
        ),
    ),
    Encoding(
        name="oa-s2cloudless",
        title="Digital Earth Australia s2cloudless mask",
        dtype="uint8",
        reads=("oa_s2cloudless_mask",),
        resolution=60,
        source=_SOURCE,
        values=(
            Value(0, "no_data", "no data", NO_OBSERVATION),
            Value(1, "clear", "clear", CLEAR),
            Value(2, "cloud", "cloud", CLOUD),
        ),
    ),
)
