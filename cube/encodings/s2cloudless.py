"""s2cloudless: its mask, its probability as a fraction and as a byte (Sentinel Hub's CLM and CLP)."""

from cube.classes import CLEAR, CLOUD, NO_OBSERVATION
from cube.encodings._declaration import Encoding, Option, Options, Value

_SOURCE = "s2cloudless documentation; Sentinel Hub, cloud masks CLM and CLP"

_THRESHOLD = Option(
    "threshold",
    0.4,
    "probability above which a pixel is cloud",
    bounds=(0.0, 1.0),
)


def _classify_byte(value: int, reading: str, options: Options) -> int:
    return CLOUD if value / 255 > float(options["threshold"]) else CLEAR


ENCODINGS = (
    Encoding(
        name="s2cloudless",
        title="s2cloudless mask",
        dtype="uint8",
        reads=("s2cloudless",),
        resolution=60,
        source=_SOURCE,
        values=(
            Value(0, "clear", "clear", CLEAR),
            Value(1, "cloud", "cloud", CLOUD),
            Value(255, "no_data", "no data", NO_OBSERVATION),
        ),
    ),
    Encoding(
        name="s2cloudless-prob",
        title="s2cloudless probability, 0 to 1",
        dtype="float32",
        reads=("s2cloudless_prob",),
        resolution=60,
        source=_SOURCE,
        options=(_THRESHOLD,),
    ),
    Encoding(
        name="s2cloudless-clp",
        title="s2cloudless probability in 255ths",
        dtype="uint8",
        reads=("clp",),
        resolution=60,
        source=_SOURCE,
        values=tuple(
            Value(code, f"p{code}", f"probability of cloud {code / 255:.3f}", CLEAR)
            for code in range(256)
        ),
        options=(_THRESHOLD,),
        classify_value=_classify_byte,
    ),
)
