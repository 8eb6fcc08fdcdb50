"""ALCD's reference classifications."""

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, SNOW, WATER
from cube.encodings._declaration import Encoding, Value

ENCODINGS = (
    Encoding(
        name="alcd",
        title="ALCD reference classification",
        dtype="uint8",
        reads=("alcd",),
        resolution=60,
        source="Baetens et al. 2019, Remote Sensing 11, 433, and the class list of its data set",
        values=(
            Value(0, "no_data", "no data", NO_OBSERVATION),
            Value(1, "background", "background, valid", CLEAR),
            Value(2, "low_cloud", "low cloud", CLOUD),
            Value(3, "high_cloud", "high cloud", CLOUD),
            Value(4, "cloud_shadow", "cloud shadow", CLOUD_SHADOW),
            Value(5, "land", "land", CLEAR),
            Value(6, "water", "water", WATER),
            Value(7, "snow", "snow", SNOW),
        ),
    ),
)
