"""Pure functions on arrays: numpy and numba only, the caller owns the memory."""
