"""EDG, the edge raster of MUSCATE products (MAJA)."""

from cube.classes import CLEAR, NO_OBSERVATION
from cube.encodings._declaration import Encoding, Value

ENCODINGS = (
    Encoding(
        name="edg",
        title="MAJA edge mask (MUSCATE EDG)",
        dtype="uint8",
        reads=("edg",),
        resolution=10,
        source="Theia, MUSCATE L2A product format, EDG",
        values=(
            Value(0, "inside", "inside the image", CLEAR),
            Value(1, "outside", "no data, outside the swath", NO_OBSERVATION),
        ),
    ),
)
