"""QA60, Earth Engine's cloud bits of Sentinel-2."""

from cube.classes import CLOUD, NO_OBSERVATION, THIN_CLOUD
from cube.encodings._declaration import Bit, Encoding, Option, Options, class_of_bits

_UNPOPULATED = ("2022-01-25", "2024-02-28")
"""First day without QA60 and the day it came back; in between a zero says nothing."""

_BITS = (
    Bit(10, "opaque", "opaque cloud", CLOUD),
    Bit(11, "cirrus", "cirrus", THIN_CLOUD),
)


def _classify(value: int, reading: str, options: Options) -> int:
    if value == 0 and not _zero_is_clear(options):
        return NO_OBSERVATION
    return class_of_bits(_BITS, value, reading)


def _zero_is_clear(options: Options) -> bool:
    if options["zero"] != "by-date":
        return options["zero"] == "clear"
    acquired = str(options["acquired"])
    # Without a date nobody knows whether the band was filled.
    return bool(acquired) and not _UNPOPULATED[0] <= acquired < _UNPOPULATED[1]


ENCODINGS = (
    Encoding(
        name="qa60",
        title="Earth Engine QA60 cloud bits",
        dtype="uint16",
        reads=("qa60",),
        resolution=60,
        source="Earth Engine catalogue, Sentinel-2 QA60",
        bits=_BITS,
        options=(
            Option(
                "acquired",
                "",
                "day of the acquisition; QA60 was left empty from 2022-01-25 to 2024-02-28",
            ),
            Option(
                "zero",
                "by-date",
                "what 0 is taken for: clear outside the empty period and unknown within it or "
                "where the date is not given (by-date), or always the same",
                choices=("by-date", "clear", "unknown"),
            ),
        ),
        classify_value=_classify,
    ),
)
