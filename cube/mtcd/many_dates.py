"""Tests against earlier dates: rise of the haze index, ground that is recognised, thin edges."""

import numpy as np

from cube.kernels import mtcd as kernels
from cube.mtcd.image import Flags, Floats, Image
from cube.mtcd.params import HAZE_MIN, MtcdParams
from cube.mtcd.regions import label, shares
from cube.mtcd.state import State


def haze_threshold(state: State, day: int, params: MtcdParams) -> Floats:
    """State, day -> (h, w) float32 rise of the haze index that is cloud.

    It grows with the age of the reference, whether that lies before or after the day, to twice the
    least at ``forgetting`` days and to ``haze_max`` in the end.
    """
    least = HAZE_MIN[state.grid.cell] if params.haze_min is None else params.haze_min
    age = np.abs(np.int32(day) - state.days).astype(np.float32)
    threshold: Floats = np.minimum(
        np.float32(params.haze_max), np.float32(least) * (1 + age / np.float32(params.forgetting))
    )
    return threshold


def risen_haze(
    image: Image, state: State, day: int, params: MtcdParams, excluded: Flags
) -> tuple[Flags, Flags]:
    """Image, state, (h, w) bool excluded (water, snow) -> (h, w) bool cloud, and candidates.

    Cloud raises the haze index, blue - red / 2, above that of the reference, and blue more than red
    and near infrared; ploughing and harvest raise red more. Candidates lie ``thin_step`` lower.
    """
    was = state.reference
    blue, red, nir = (image.bands[role] for role in ("blue", "red", "nir"))
    rise_blue, rise_red = blue - was["blue"], red - was["red"]
    rise_nir = nir - was["nir"]
    sum_blue, sum_nir = blue + was["blue"], nir + was["nir"]
    rise_haze = rise_blue - rise_red / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        whiter = rise_nir / sum_nir < params.nir_blue * (rise_blue / sum_blue)
    defined = (np.abs(sum_blue) >= 1e-6) & (np.abs(sum_nir) >= 1e-6)
    white = whiter & defined & (rise_red < params.red_blue * rise_blue)
    white &= ~excluded & ~state.missing & image.observed
    threshold = haze_threshold(state, day, params)
    return (
        white & (rise_haze > threshold),
        white & (rise_haze > threshold - np.float32(params.thin_step)),
    )


def recognised(image: Image, state: State, day: int, params: MtcdParams, wanted: Flags) -> Flags:
    """Image, state, (h, w) bool wanted -> (h, w) bool where red correlates with an earlier date.

    Tried are the reference, then the last dates, newest first, but for the day itself.
    """
    others = [state.reference["red"][np.newaxis], state.stack[state.stack_days != day]]
    out = np.empty(image.grid.shape, np.bool_)
    kernels.correlates(
        image.bands["red"],
        np.concatenate(others),
        wanted,
        params.correlation_radius,
        params.correlation_least,
        params.correlation,
        out,
    )
    return out


def thin_edges(
    image: Image, state: State, day: int, params: MtcdParams, clouds: Flags, candidates: Flags
) -> Flags:
    """(h, w) bool clouds, candidates -> (h, w) bool thinnest clouds: candidates that touch a cloud.

    Those on which the ground is recognised are given up in clouds of which they are more than
    ``discarded``.
    """
    labels, count = label(candidates)
    touching = shares(labels, count, clouds) > 0
    edges: Flags = touching[labels] & candidates & ~clouds
    known = recognised(image, state, day, params, edges)
    labels, count = label(clouds | edges)
    given_up = shares(labels, count, known) > params.discarded
    kept: Flags = edges & ~(known & given_up[labels])
    return kept
