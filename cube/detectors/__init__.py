"""Temporal mask methods: every module of this package declares one as ``DETECTOR``."""

import pkgutil
from functools import cache
from importlib import import_module

from cube.errors import BandError
from cube.temporal import TemporalMethod


@cache
def detectors() -> tuple[TemporalMethod, ...]:
    """Every method, by name; a module that does not import is an error."""
    modules = (
        import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)
    )
    found: list[TemporalMethod] = [module.DETECTOR for module in modules]
    return tuple(sorted(found, key=lambda method: method.name))


def detector(name: str) -> TemporalMethod:
    """Name, e.g. ``tsmask`` -> its method; ``BandError`` lists the known ones."""
    for known in detectors():
        if known.name == name:
            return known
    names = " ".join(known.name for known in detectors())
    raise BandError(f"no temporal mask method is called {name!r}; the methods are {names}")
