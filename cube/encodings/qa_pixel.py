"""QA_PIXEL of Landsat Collection 2."""

from cube.classes import (
    CLEAR,
    CLOUD,
    CLOUD_SHADOW,
    NO_OBSERVATION,
    SNOW,
    THIN_CLOUD,
    WATER,
)
from cube.encodings._declaration import (
    Bit,
    Encoding,
    Exclusion,
    Field,
    Option,
    Options,
    Value,
    class_of_bits,
)

_DILATED_BIT = 1
_CLOUD_BIT = 3
_CLEAR_BIT = 6


def _confidence(index: int, of: str, medium: int, high: int) -> Field:
    """Two bits of confidence; their strict classes for medium (reserved for most) and high."""
    return Field(
        index,
        2,
        f"{of}_confidence",
        f"confidence in {of.replace('_', ' ')}",
        (
            Value(0, "none", "none", CLEAR),
            Value(1, "low", "low", CLEAR),
            Value(2, "medium", "medium or reserved", CLEAR, medium),
            Value(3, "high", "high", CLEAR, high),
        ),
    )


_BITS = (
    Bit(0, "fill", "fill, no observation", NO_OBSERVATION),
    Bit(_DILATED_BIT, "dilated_cloud", "dilated cloud", CLOUD),
    Bit(2, "cirrus", "cirrus, high confidence", THIN_CLOUD),
    Bit(_CLOUD_BIT, "cloud", "cloud, high confidence", CLOUD),
    Bit(4, "cloud_shadow", "cloud shadow, high confidence", CLOUD_SHADOW),
    Bit(5, "snow", "snow, high confidence", SNOW),
    Bit(_CLEAR_BIT, "clear", "neither cloud nor dilated cloud"),
    Bit(7, "water", "water", WATER),
    _confidence(8, "cloud", CLOUD, CLOUD),
    _confidence(10, "cloud_shadow", CLOUD_SHADOW, CLOUD_SHADOW),
    _confidence(12, "snow", CLEAR, SNOW),
    _confidence(14, "cirrus", THIN_CLOUD, THIN_CLOUD),
)


def _classify(value: int, reading: str, options: Options) -> int:
    # A dilated pixel that is also a cloud keeps its cloud bit, which is read by itself.
    if options["dilated"] == "clear" and reading != "strict":
        value &= ~(1 << _DILATED_BIT)
    return class_of_bits(_BITS, value, reading)


ENCODINGS = (
    Encoding(
        name="qa-pixel",
        title="Landsat Collection 2 QA_PIXEL",
        dtype="uint16",
        reads=("qa_pixel",),
        resolution=30,
        source="Landsat 8-9 Collection 2 Level 2 science product guide, QA_PIXEL",
        bits=_BITS,
        options=(
            Option(
                "dilated",
                "cloud",
                "what bit 1 alone, dilated cloud, is taken for",
                choices=("cloud", "clear"),
            ),
        ),
        classify_value=_classify,
        exclusions=(Exclusion(_CLEAR_BIT, (_DILATED_BIT, _CLOUD_BIT)),),
    ),
)
