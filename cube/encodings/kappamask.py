"""KappaMask's classes, as in its GeoTIFF output."""

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION, THIN_CLOUD
from cube.encodings._declaration import Encoding, Value

ENCODINGS = (
    Encoding(
        name="kappamask",
        title="KappaMask",
        dtype="uint8",
        reads=("kappamask",),
        resolution=10,
        source="KappaMask (km_predict) documentation, GeoTIFF classes",
        values=(
            Value(0, "undefined", "undefined", NO_OBSERVATION),
            Value(1, "clear", "clear", CLEAR),
            Value(2, "cloud_shadow", "cloud shadow", CLOUD_SHADOW),
            Value(3, "semi_transparent", "semi-transparent cloud", THIN_CLOUD),
            Value(4, "cloud", "cloud", CLOUD),
            Value(5, "missing", "missing", NO_OBSERVATION),
        ),
    ),
)
