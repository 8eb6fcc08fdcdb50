"""mtcd: multi-temporal cloud detection after Hagolle et al. 2010 and MAJA. It is not MAJA.

One date at a time on a coarse grid: tests of the date alone, then against a cloud-free reference
that is carried from date to date. What it leaves out of MAJA's chain: correction of gas and aerosol
(L1C gets clean air's path reflectance taken off, L2A is taken as it is), the flags of rain, hotspot
and high aerosol that keep a date out of the reference, the relative change of near infrared over
glinting water, and the prior map of water.
"""

TITLE = "Multi-temporal cloud detection after Hagolle 2010 and MAJA; not MAJA itself"

VERSION = "1"
"""Raised whenever a change alters bits."""
