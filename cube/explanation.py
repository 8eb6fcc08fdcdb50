"""What one stored mask value says, in words."""

from dataclasses import dataclass

from cube import classes
from cube.encodings import encoding
from cube.encodings._declaration import Encoding, Field
from cube.errors import MaskError


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one stored value says."""

    encoding: str
    title: str
    value: int | float
    lines: tuple[str, ...]
    """One for each set bit, ``bit N (value V): meaning``, or the meaning of the value."""
    class_code: int
    """Class in the standard reading, of this raster alone and with default options."""
    class_name: str
    contradictions: tuple[str, ...]
    """One sentence for each bit that denies another; empty where none does."""


def explain(name: str, value: int | float | str) -> Explanation:
    """One stored value (a number, or its text as ``33``, ``0x21``, ``0b100001``) -> its meaning.

    ``MaskError`` where it is no whole number, is out of the encoding's range or has no meaning.
    """
    declared = encoding(name)
    if declared.kind == "probability":
        return _explain_probability(declared, value)
    number = _whole(declared, value)
    settings = declared.settings({})
    code = declared.classify(number, "standard", settings)
    if code == classes.REFUSED:
        raise MaskError(f"{name} {number} has no meaning; {declared.range}")
    return Explanation(
        encoding=name,
        title=declared.title,
        value=number,
        lines=_lines(declared, number),
        class_code=code,
        class_name=classes.NAMES[code],
        contradictions=declared.disagreements(number),
    )


def _whole(declared: Encoding, value: int | float | str) -> int:
    try:
        number = _read(value) if isinstance(value, str) else int(value)
        whole = isinstance(value, str) or number == value
    except (ValueError, OverflowError):
        whole, number = False, 0
    if not whole:
        raise MaskError(f"{declared.name} values are whole numbers, not {value}")
    if not 0 <= number <= declared.largest:
        raise MaskError(
            f"{number} is out of the range of {declared.name} ({declared.dtype}); "
            f"give 0 to {declared.largest}"
        )
    return number


def _read(text: str) -> int:
    # Base 0 knows 0x21 and 0b100001 but not 007.
    return int(text) if text.strip().isdecimal() else int(text, 0)


def _lines(declared: Encoding, number: int) -> tuple[str, ...]:
    if declared.nodata is not None and number == declared.nodata:
        return (f"value {number}: no data",)
    if declared.kind == "classes":
        return tuple(
            f"value {number}: {each.meaning}" for each in declared.values if each.code == number
        )
    lines = []
    for bit in declared.bits:
        state = number >> bit.index & (1 << bit.width) - 1
        if isinstance(bit, Field):
            last = bit.index + bit.width - 1
            meaning = next(each.meaning for each in bit.states if each.code == state)
            if state:
                value = state << bit.index
                lines.append(f"bits {bit.index}-{last} (value {value}): {bit.meaning}, {meaning}")
        elif state:
            lines.append(f"bit {bit.index} (value {1 << bit.index}): {bit.meaning}")
    return tuple(lines) or ("no bit is set",)


def _explain_probability(declared: Encoding, value: int | float | str) -> Explanation:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not 0 <= number <= 1:
        raise MaskError(f"{declared.name} values are probabilities from 0 to 1, not {value}")
    threshold = declared.settings({})["threshold"]
    code = classes.CLOUD if number > float(threshold) else classes.CLEAR
    return Explanation(
        encoding=declared.name,
        title=declared.title,
        value=number,
        lines=(f"value {number:g}: probability of cloud; cloud above {threshold:g}",),
        class_code=code,
        class_name=classes.NAMES[code],
        contradictions=(),
    )
