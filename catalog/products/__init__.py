"""Readers: a product on disk -> what it says of itself; text only, never pixels."""
