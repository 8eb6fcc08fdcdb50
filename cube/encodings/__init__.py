"""Every mask decoder, one small file each: its module declares ``ENCODINGS``, a tuple.

A file put here is found by being here. Modules whose name begins with ``_`` hold what decoders
share. A decoder that cannot be imported is an error, never a decoder less.
"""

from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules

from cube.encodings._declaration import Encoding
from cube.errors import BandError


def encodings() -> tuple[Encoding, ...]:
    """Every encoding there is, in alphabetical order of the names."""
    return tuple(discover().values())


def encoding(name: str) -> Encoding:
    """Name, e.g. ``clm`` -> its declaration; ``BandError`` naming the known ones.

    A source's own name of its band, ``qa_pixel``, is ours with ``-``: it becomes a part of ids, whose
    parts ``_`` divides.
    """
    known = discover()
    found = known.get(name.replace("_", "-"))
    if found is None:
        raise BandError(f"no mask encoding is called {name!r}; choose one of {' '.join(known)}")
    return found


@lru_cache(maxsize=1)
def discover() -> dict[str, Encoding]:
    """Read every module of this package -> its encodings by name, in alphabetical order."""
    found: dict[str, Encoding] = {}
    for module in iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        for encoding in import_module(f"{__name__}.{module.name}").ENCODINGS:
            if encoding.name in found:
                raise ValueError(f"two decoders are called {encoding.name!r}")
            if "_" in encoding.name:
                raise ValueError(f"a decoder is called {encoding.name!r}: ids take '-', not '_'")
            found[encoding.name] = encoding
    return dict(sorted(found.items()))
