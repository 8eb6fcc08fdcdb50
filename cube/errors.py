"""What can go wrong with arrays: one base and its children, each also the builtin it refines."""


class CubeError(Exception):
    """Base of every error of this package; its message is one line: what, which, what to do."""


class GridError(CubeError, ValueError):
    """A tile, extent or resolution that makes no grid."""


class BandError(CubeError, LookupError):
    """A band, mask variable or encoding that is not known or not there."""


class LoadError(CubeError, OSError):
    """A raster that cannot be opened or read; the message names the file."""


class SourceError(LoadError):
    """A remote raster that its server or the network did not give this time; another try may."""


class MaskError(CubeError, ValueError):
    """A mask value, reading or combination that has no meaning."""


class StoreError(CubeError, OSError):
    """A cube store that cannot be created, written, committed or opened."""
