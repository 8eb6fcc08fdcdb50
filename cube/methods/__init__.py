"""Synthesis methods: every module of this package declares one as ``METHOD``."""

import pkgutil
from functools import cache
from importlib import import_module

from cube.composite import Method
from cube.errors import BandError


@cache
def methods() -> tuple[Method, ...]:
    """Every method, by name; a module that does not import is an error."""
    modules = (
        import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)
    )
    found: list[Method] = [module.METHOD for module in modules]
    return tuple(sorted(found, key=lambda method: method.name))


def method(name: str) -> Method:
    """Name, e.g. ``wasp`` -> its method; ``BandError`` lists the known ones."""
    for known in methods():
        if known.name == name:
            return known
    names = " ".join(known.name for known in methods())
    raise BandError(f"no synthesis method is called {name!r}; the methods are {names}")
