"""Arrays of clearcube: grids, loading, masks, syntheses and the Zarr store; no server, no scheduler."""
