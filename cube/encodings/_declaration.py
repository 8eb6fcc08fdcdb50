"""How a mask decoder is declared: values or bits with their meanings, classes and readings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite

from cube import classes
from cube.errors import MaskError

READINGS = ("standard", "strict", "clouds-only")
"""``strict``: nothing non-zero or suspicious is clear; ``clouds-only``: shadows are clear."""

OptionValue = str | float
Options = Mapping[str, OptionValue]
Classify = Callable[[int, str, Options], int]
"""(value, reading, options) -> class, ``classes.REFUSED`` for a value without meaning."""

_RANGES = {"uint8": 255, "uint16": 65535, "float32": 1}


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an enumeration."""

    code: int
    name: str
    meaning: str
    standard: int
    strict: int | None = None
    """Class in the strict reading, where it differs from the standard one."""


@dataclass(frozen=True, slots=True)
class Bit:
    """One bit, counted from 0 (the least significant)."""

    index: int
    name: str
    meaning: str
    standard: int = classes.CLEAR
    """Class of a pixel with this bit; ``CLEAR`` for a bit that does not hide the ground."""
    strict: int | None = None

    @property
    def width(self) -> int:
        """Number of bits, 1."""
        return 1


@dataclass(frozen=True, slots=True)
class Field:
    """Several neighbouring bits that hold one small number."""

    index: int
    """The least significant of its bits."""
    width: int
    name: str
    meaning: str
    states: tuple[Value, ...]
    """What each number means; all ``2 ** width`` of them."""


@dataclass(frozen=True, slots=True)
class Implication:
    """Each of ``bits`` is possible only together with its summary bit."""

    bits: tuple[int, ...]
    summary: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """``bit`` is possible only without any of ``others``."""

    bit: int
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """Something the user may choose about a decoder."""

    name: str
    default: OptionValue
    description: str
    choices: tuple[str, ...] = ()
    """Texts it may be; empty for a number or a date."""
    bounds: tuple[float, float] | None = None
    """Least and greatest, for a number."""

    def parse(self, encoding: str, given: object) -> OptionValue:
        """Text or number as the user gave it -> checked value; ``MaskError`` where it cannot be."""
        if self.choices:
            if str(given) in self.choices:
                return str(given)
            raise MaskError(
                f"{encoding}: {self.name}={given} is not known; choose {' or '.join(self.choices)}"
            )
        if self.bounds is not None:
            return self._number(encoding, given, self.bounds)
        if given == self.default:
            return self.default
        try:
            return date.fromisoformat(str(given)[:10]).isoformat()
        except ValueError:
            raise MaskError(
                f"{encoding}: {self.name}={given} is not a date; write YYYY-MM-DD"
            ) from None

    def _number(self, encoding: str, given: object, bounds: tuple[float, float]) -> float:
        low, high = bounds
        try:
            number = float(str(given))
        except ValueError:
            number = float("nan")
        if isfinite(number) and low <= number <= high:
            return number
        raise MaskError(f"{encoding}: {self.name}={given} is no number from {low:g} to {high:g}")


@dataclass(frozen=True, slots=True)
class Companion:
    """A second raster of the same product that has a say in the class."""

    key: str
    """Cube variable or asset key, e.g. ``mg2``."""
    classify: Classify
    outside: bool = False
    """True for an edge raster: where it is not zero the main raster is to be zero."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way in which a product says what a pixel shows."""

    name: str
    title: str
    dtype: str
    """``uint8`` or ``uint16``; ``float32`` for a probability from 0 to 1, NaN where there is none."""
    reads: tuple[str, ...]
    """Cube variables or asset keys: the main raster, then the companions."""
    resolution: int
    """Metres of a pixel as delivered."""
    source: str
    """Where the table is from."""
    values: tuple[Value, ...] = ()
    bits: tuple[Bit | Field, ...] = ()
    nodata: int | None = None
    """Value of pixels without data, where it is none of ``values`` and no bit."""
    options: tuple[Option, ...] = ()
    classify_value: Classify | None = None
    """Replaces the plain reading of ``values`` or ``bits`` where the rule is more than a table."""
    companions: tuple[Companion, ...] = ()
    implications: tuple[Implication, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()

    @property
    def kind(self) -> str:
        """``classes``, ``bits`` or ``probability``."""
        if self.bits:
            return "bits"
        return "probability" if self.dtype == "float32" else "classes"

    @property
    def largest(self) -> int:
        """Largest number the data type holds."""
        return _RANGES[self.dtype]

    @property
    def range(self) -> str:
        """Which values or bits there are, as the end of a message."""
        if self.kind == "bits":
            ends = [(bit.index, bit.index + bit.width - 1) for bit in self.bits]
            named = (str(low) if low == high else f"{low}-{high}" for low, high in ends)
            return f"its bits are {', '.join(named)}"
        codes = [each.code for each in self.values]
        codes += [] if self.nodata is None else [self.nodata]
        return f"its values are {' '.join(map(str, codes))}"

    def settings(self, given: Mapping[str, object]) -> dict[str, OptionValue]:
        """Options as the user gave them -> all options, checked, with defaults."""
        known = {option.name: option for option in self.options}
        for name in given:
            if name not in known:
                names = " ".join(known) or "none"
                raise MaskError(f"{self.name} has no option {name!r}; its options: {names}")
        return {
            name: option.parse(self.name, given.get(name, option.default))
            for name, option in known.items()
        }

    def classify(self, value: int, reading: str, options: Options) -> int:
        """One stored value -> its class in a reading; ``classes.REFUSED`` where it means nothing."""
        if self.nodata is not None and value == self.nodata:
            return classes.NO_OBSERVATION
        if self.classify_value is not None:
            return self.classify_value(value, reading, options)
        if self.bits:
            return class_of_bits(self.bits, value, reading)
        return class_of_value(self.values, value, reading)

    def disagreements(self, value: int) -> tuple[str, ...]:
        """One stored value -> a sentence for each of its bits that denies another."""
        if self.nodata is not None and value == self.nodata:
            return ()
        names = {bit.index: bit.name.replace("_", " ") for bit in self.bits}
        unsummed = [
            f"bit {bit} ({names[bit]}) contradicts its summary bit {rule.summary} "
            f"({names[rule.summary]}), which is not set"
            for rule in self.implications
            for bit in rule.bits
            if value >> bit & 1 and not value >> rule.summary & 1
        ]
        exclusive = [
            f"bit {rule.bit} ({names[rule.bit]}) contradicts bit {other} ({names[other]}), "
            "which is set too"
            for rule in self.exclusions
            for other in rule.others
            if value >> rule.bit & 1 and value >> other & 1
        ]
        return tuple(unsummed + exclusive)


def class_of_value(values: tuple[Value, ...], value: int, reading: str) -> int:
    """One value of an enumeration -> its class in a reading."""
    for each in values:
        if each.code == value:
            return _in_reading(each, reading)
    return classes.REFUSED


def class_of_bits(bits: tuple[Bit | Field, ...], value: int, reading: str) -> int:
    """One value of a bit field -> the class of its bits that wins, in a reading."""
    found = []
    for bit in bits:
        number = value >> bit.index & (1 << bit.width) - 1
        value &= ~(((1 << bit.width) - 1) << bit.index)
        if isinstance(bit, Field):
            found.append(class_of_value(bit.states, number, reading))
        elif number:
            found.append(_in_reading(bit, reading))
    # What is left are bits that the encoding does not define.
    return classes.REFUSED if value else classes.first(found)


def _in_reading(each: Value | Bit, reading: str) -> int:
    if reading == "strict" and each.strict is not None:
        return each.strict
    if reading == "clouds-only" and each.standard == classes.CLOUD_SHADOW:
        return classes.CLEAR
    return each.standard
