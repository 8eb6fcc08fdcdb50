"""A simulated season of products whose truth is known."""
