"""The cloud-free reference, kept and brought forward date by date."""

import numpy as np

from cube.mtcd import water
from cube.mtcd.image import Flags, Image, Meta
from cube.mtcd.params import MtcdParams
from cube.mtcd.state import CARRIED, State


def update(
    state: State | None,
    image: Image,
    meta: Meta,
    params: MtcdParams,
    *,
    clouds: Flags,
    shadows: Flags,
    snow: Flags,
    outside: Flags,
) -> State:
    """State, image and what hides the ground on it -> the state after this date.

    Cells that show the ground replace the reference; the others keep it until it is ``max_age``
    days old. Shadows are kept out too, unless ``shadows_in_reference``. The red band joins the
    stack as it is, clouds and all. ``outside`` are the shadows that must not persist.
    """
    hidden = clouds if params.shadows_in_reference else clouds | shadows
    fresh = image.observed & ~hidden & ~snow & ~image.saturated
    roles = [role for role in CARRIED if role in image.bands]
    if state is None:
        kept = np.zeros(image.grid.shape, np.bool_)
        days = np.zeros(image.grid.shape, np.int32)
        old = {role: image.bands[role] for role in roles}
        stack_days = np.zeros(0, np.int32)
        stack = np.zeros((0, *image.grid.shape), np.float32)
    else:
        kept = ~fresh & ~state.missing & (np.abs(meta.day - state.days) <= params.max_age)
        days, old = state.days, state.reference
        stack, stack_days = state.stack, state.stack_days
    nothing = np.float32(np.nan)
    reference = {
        role: np.where(fresh, image.bands[role], np.where(kept, old[role], nothing))
        for role in roles
    }
    tested, possible = water.learn(image, state, params, clouds | shadows | snow)
    return State(
        grid=image.grid,
        level=meta.level,
        sources={role: image.sources[role] for role in roles},
        day=meta.day,
        reference=reference,
        days=np.where(fresh, np.int32(meta.day), np.where(kept, days, 0)).astype(np.int32),
        missing=~fresh & ~kept,
        stack=np.concatenate([image.bands["red"][np.newaxis], stack])[: params.stack],
        stack_days=np.append(np.int32(meta.day), stack_days)[: params.stack].astype(np.int32),
        water_tested=tested,
        water_possible=possible,
        outside=outside,
    )
