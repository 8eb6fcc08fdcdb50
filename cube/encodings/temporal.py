"""Masks that are found along the time axis: their values are the classes themselves.

Digital Earth Australia's own ``tsmask`` has the first four of them, with the same meaning.
"""

from cube.classes import CLASSES
from cube.detectors import detectors
from cube.encodings._declaration import Encoding, Options, Value, class_of_value
from cube.mtcd import TITLE as MTCD

_VALUES = tuple(Value(c.code, c.name, c.description, c.code) for c in CLASSES)


def _classify(value: int, reading: str, _options: Options) -> int:
    return class_of_value(_VALUES, value, reading)


def _encoding(name: str, title: str) -> Encoding:
    return Encoding(
        name=name,
        title=title,
        dtype="uint8",
        reads=(name,),
        resolution=20,
        source="cube.classes",
        values=_VALUES,
        classify_value=_classify,
    )


ENCODINGS = (*(_encoding(each.name, each.title) for each in detectors()), _encoding("mtcd", MTCD))
