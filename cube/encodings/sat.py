"""SAT, the saturation raster of MUSCATE products (MAJA): one bit a band of the file's resolution."""

from cube.classes import NO_OBSERVATION
from cube.encodings._declaration import Bit, Encoding

# A saturated band holds no measurement; SCL 1 is treated alike.
ENCODINGS = (
    Encoding(
        name="sat",
        title="MAJA saturation mask (MUSCATE SAT)",
        dtype="uint8",
        reads=("sat",),
        resolution=10,
        source="Theia, MUSCATE L2A product format, SAT",
        bits=(
            Bit(0, "band_1", "B2 saturated (10 m file) or B5 (20 m file)", NO_OBSERVATION),
            Bit(1, "band_2", "B3 saturated (10 m file) or B6 (20 m file)", NO_OBSERVATION),
            Bit(2, "band_3", "B4 saturated (10 m file) or B7 (20 m file)", NO_OBSERVATION),
            Bit(3, "band_4", "B8 saturated (10 m file) or B8A (20 m file)", NO_OBSERVATION),
            Bit(4, "band_5", "B11 saturated (20 m file only)", NO_OBSERVATION),
            Bit(5, "band_6", "B12 saturated (20 m file only)", NO_OBSERVATION),
        ),
    ),
)
