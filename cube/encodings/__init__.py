"""Every mask decoder, one small file each: its module declares ``ENCODINGS``, a tuple.

A file put here is found by being here. Modules whose name begins with ``_`` hold what decoders
share. A decoder that cannot be imported is an error, never a decoder less.
"""

from importlib import import_module
from pkgutil import iter_modules

from cube.encodings._declaration import Encoding


def discover() -> dict[str, Encoding]:
    """Read every module of this package -> its encodings by name, in alphabetical order."""
    found: dict[str, Encoding] = {}
    for module in iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        for encoding in import_module(f"{__name__}.{module.name}").ENCODINGS:
            if encoding.name in found:
                raise ValueError(f"two decoders are called {encoding.name!r}")
            found[encoding.name] = encoding
    return dict(sorted(found.items()))
