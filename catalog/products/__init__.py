"""Readers of Sentinel-2 products: folders and zips, told by their text alone."""

from pathlib import Path

from catalog.errors import ProductError
from catalog.products.folder import is_zip, open_folder
from catalog.products.item import product_item
from catalog.products.muscate import MuscateReader
from catalog.products.muscate_l3a import L3aReader
from catalog.products.product import Product, ProductAsset, Reader
from catalog.products.safe import SafeReader

__all__ = ["Product", "ProductAsset", "Reader", "open_product", "product_item", "recognises"]

READERS: tuple[Reader, ...] = (SafeReader(), L3aReader(), MuscateReader())
"""Asked in this order."""


def recognises(path: str | Path) -> bool:
    """Whether a folder, zip or metadata file looks like a product, judged by names alone.

    True too for a product that is broken, and for any zip: ``open_product`` then says what is
    wrong with it.
    """
    location = Path(path)
    return is_zip(location) or any(reader.recognises(location) for reader in READERS)


def open_product(path: str | Path) -> Product:
    """Folder, zip or metadata file -> product; ``ProductError`` naming it and the cause."""
    location = Path(path)
    for reader in READERS:
        if reader.recognises(location):
            return reader.read(location)
    if not location.is_dir():
        open_folder(location)  # says what is wrong with a zip, or that nothing is there
    raise ProductError(
        f"{path}: not a Sentinel-2 product: neither MTD_MSIL1C.xml or MTD_MSIL2A.xml (SAFE) nor "
        "*_MTD_ALL.xml (MUSCATE) is in it"
    )
