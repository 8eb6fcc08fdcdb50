"""Metadata of clearcube: products, items, search and the catalogue; no arrays."""
