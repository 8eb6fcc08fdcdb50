"""majamask: MAJA's CLM and MG2 folded into one class a pixel."""

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, SNOW, WATER
from cube.encodings._declaration import Encoding, Value

# Cirrus is MAJA's high-cloud bit, hence cloud as in CLM; terrain is read as in MG2.
ENCODINGS = (
    Encoding(
        name="majamask",
        title="majamask, simplified MAJA mask",
        dtype="uint8",
        reads=("majamask",),
        resolution=10,
        source="majamask documentation, output classes",
        values=(
            Value(0, "valid", "valid", CLEAR),
            Value(1, "cirrus", "cirrus (high cloud)", CLOUD),
            Value(2, "cloud", "cloud", CLOUD),
            Value(3, "cloud_shadow", "cloud shadow", CLOUD_SHADOW),
            Value(4, "snow", "snow", SNOW),
            Value(5, "water", "water", WATER),
            Value(6, "topographic_shadow", "shadow of the terrain", CLEAR, CLOUD_SHADOW),
            Value(7, "hidden", "hidden from the sensor by the terrain", NO_OBSERVATION),
            Value(8, "low_sun", "sun too low or tangent to the slope", CLEAR, CLOUD_SHADOW),
        ),
    ),
)
