"""Tests that need one date alone: high cloud, snow, bright and white cloud."""

import numpy as np

from cube.mtcd.image import Flags, Image, Meta
from cube.mtcd.params import MtcdParams
from cube.mtcd.regions import boxes, close, grow, label
from cube.mtcd.relief import levelling


def high_clouds(image: Image, params: MtcdParams) -> Flags:
    """Image with cirrus and altitude -> (h, w) bool, bright at 1.38 µm for its altitude.

    Water vapour hides the ground at this wavelength, less so above high ground: the threshold is
    offset + gain h² / ``cirrus_altitude``. Where the altitude is unknown nothing is found.
    """
    if image.altitude is None:
        raise ValueError("high clouds need an altitude")
    rise = params.cirrus_gain / params.cirrus_altitude * image.altitude**2
    found: Flags = image.bands["cirrus"] > params.cirrus_offset + rise
    return found


def snow(image: Image, meta: Meta, params: MtcdParams, excluded: Flags) -> Flags:
    """Image, (h, w) bool excluded (high cloud, known water) -> (h, w) bool snow, small gaps closed.

    Slopes are made as bright as flat ground; without a DEM all ground is flat.
    """
    factor = levelling(image, meta)
    green, red, swir = (image.bands[role] * factor for role in ("green", "red", "swir16"))
    # A product instead of a quotient, as the sum may be 0 or below.
    found = (green - swir > params.snow_ndsi * (green + swir)) & (green + swir > 0)
    found &= (red > params.snow_red) & (swir < params.snow_swir)
    closed = close(found & ~excluded, params.snow_radius)
    return closed & image.observed & ~excluded


def bright_clouds(image: Image, params: MtcdParams, snow_now: Flags) -> Flags:
    """Image, (h, w) bool snow -> (h, w) bool cloud: bright, white, not reddish; or saturated."""
    blue, red, nir = (image.bands[role] for role in ("blue", "red", "nir"))
    found: Flags = (blue > params.cloud_blue) & (red > params.cloud_red)
    found &= (nir < params.nir_red_max * red) & (nir > params.nir_red_min * red)
    found &= nir > params.nir_swir_min * image.bands["swir16"]
    return (found | image.saturated) & ~snow_now


def clouds_over_water(image: Image, meta: Meta, params: MtcdParams, water: Flags) -> Flags:
    """Image, (h, w) bool water known from before -> (h, w) bool cloud: bright at 2.2 µm."""
    glint = meta.glint_angle < params.glint_angle
    limit = params.cloud_over_glint if glint else params.cloud_over_water
    found: Flags = water & (image.bands["swir22"] > limit)
    return found


def cold_cores(snow_now: Flags, clouds: Flags, observed: Flags, radius: int) -> Flags:
    """(h, w) bool snow, cloud, observed -> (h, w) bool snow patches that are a cloud's cold core.

    A patch is one where every cell around it, `radius` wide and at least one, is cloud or was not
    observed, and one of them is cloud.
    """
    labels, count = label(snow_now)
    hidden = clouds | ~observed
    cores = np.zeros(count + 1, np.bool_)
    width = max(radius, 1)
    for patch, (rows, columns) in enumerate(boxes(labels), start=1):
        box = (
            slice(max(rows.start - width, 0), rows.stop + width),
            slice(max(columns.start - width, 0), columns.stop + width),
        )
        inside = labels[box] == patch
        ring = grow(inside, width) & ~inside
        cores[patch] = hidden[box][ring].all() and clouds[box][ring].any()
    return cores[labels]


def cloudy_share(clouds: Flags, observed: Flags) -> float:
    """(h, w) bool -> percent of the observed cells that are cloud; 100 where nothing is observed."""
    seen = int(observed.sum())
    return 100.0 * int((clouds & observed).sum()) / seen if seen else 100.0
