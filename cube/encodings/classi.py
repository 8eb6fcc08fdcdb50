"""ESA's L1C cloud masks: MSK_CLASSI (three bands, packed here) and the polygons before it."""

from cube.classes import CLOUD, NO_OBSERVATION, SNOW, THIN_CLOUD
from cube.encodings._declaration import Bit, Encoding

ENCODINGS = (
    Encoding(
        name="classi",
        title="ESA L1C cloud mask (MSK_CLASSI, MSK_CLOUDS)",
        dtype="uint8",
        reads=("classi",),
        resolution=60,
        source="Sentinel-2 Products Specification Document, MSK_CLASSI; packed as in EOPF",
        bits=(
            Bit(0, "opaque", "opaque cloud (band 1 of MSK_CLASSI)", CLOUD),
            Bit(1, "cirrus", "cirrus (band 2)", THIN_CLOUD),
            Bit(2, "snow", "snow or ice (band 3)", SNOW),
            Bit(7, "no_value", "no value", NO_OBSERVATION),
        ),
        nodata=255,
    ),
)
