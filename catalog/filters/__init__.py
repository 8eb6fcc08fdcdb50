"""Filters of items: CQL2 as a checked tree, and what it says of one item."""
