"""IAB, the interpolation raster of MUSCATE products (MAJA; IAO in early ones)."""

from cube.classes import CLEAR, THIN_CLOUD
from cube.encodings._declaration import Bit, Encoding

# The ground is seen where water vapour or aerosols were interpolated, only corrected less well.
ENCODINGS = (
    Encoding(
        name="iab",
        title="MAJA interpolation mask (MUSCATE IAB, IAO)",
        dtype="uint8",
        reads=("iab",),
        resolution=10,
        source="Theia, MUSCATE L2A product format, IAB",
        bits=(
            Bit(0, "water_vapour", "water vapour was interpolated", CLEAR, THIN_CLOUD),
            Bit(
                1,
                "aerosol",
                "aerosol optical thickness was interpolated (inverted in files of MAJA 3.2)",
                CLEAR,
                THIN_CLOUD,
            ),
        ),
    ),
)
