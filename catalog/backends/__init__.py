"""Where the catalogue is kept: one file a store, one contract for all."""
