"""ukis-csmask: classes, and the raster of valid pixels that it writes beside them."""

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, NO_OBSERVATION
from cube.encodings._declaration import Companion, Encoding, Options, Value


def _valid(value: int, reading: str, options: Options) -> int:
    # Not valid is also the buffer round clouds; masks are not dilated unless that is asked for.
    return NO_OBSERVATION if value == 0 and reading == "strict" else CLEAR


ENCODINGS = (
    Encoding(
        name="csmask",
        title="ukis-csmask",
        dtype="uint8",
        reads=("csmask", "csmask_valid"),
        resolution=10,
        source="ukis-csmask documentation, csm and valid arrays",
        values=(
            Value(0, "background", "neither cloud nor shadow", CLEAR),
            Value(1, "cloud", "cloud", CLOUD),
            Value(2, "cloud_shadow", "cloud shadow", CLOUD_SHADOW),
        ),
        companions=(Companion("csmask_valid", _valid),),
    ),
)
