"""Where the sun and the sensor stood on a date, from its scenes' items, as mtcd wants it.

Which way ``view:azimuth`` points. STAC's view extension says: from the point below the platform to
the scene. ESA's and Theia's metadata say the opposite, from the ground to the sensor, and their number
is what items hold, ours as those of stactools and of the public catalogues. That it is so can be
seen in the grids of angles of genuine products. On a descending pass the sensor stands east of the
western detectors' ground, where the zenith grows to the west, and west of the eastern ones'. In two
products of tile 31TCJ (orbit 51 passes over its middle) the zenith of detector 5 falls from 3.5 to
2.5 degrees on its way east, and its mean azimuth is 128 to 131; that of detector 9 grows from 4.2 to
5.4, and its azimuth is 271 (the even detectors look ahead of the others, hence 56 to 58, 303 to 305
and so on). T22HBD lies east of the track, zenith grows from 3 to 11 degrees eastward: 287. So what is read
here is taken as the direction toward the sensor, as it comes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from cube.grid import Extent, lonlat
from cube.mtcd.image import Meta
from cube.sky import sun_position

Document = Mapping[str, Any]

Angles = tuple[float, float]
"""Zenith and azimuth, degrees."""


def date_meta(items: Sequence[Document], level: str, time: datetime, extent: Extent) -> Meta:
    """Scenes of a date, level, UTC, extent -> angles for mtcd: means of the granules' directions.

    An item without the sun's position gets it computed for the middle of the extent, to two or three
    degrees, as products state the time at which the datatake began; without the sensor's, the view is
    left unknown.
    """
    sun = sun_of(items) or _computed(time, extent)
    view = view_of(items)
    return Meta(
        day=(time.date() - datetime(1970, 1, 1).date()).days,
        level=level,
        sun_zenith=sun[0],
        sun_azimuth=sun[1],
        view_zenith=None if view is None else view[0],
        view_azimuth=None if view is None else view[1],
    )


def sun_of(items: Sequence[Document]) -> Angles | None:
    """Scenes -> mean direction of the sun; None where none says it."""
    return _mean(list(_suns(items)))


def view_of(items: Sequence[Document]) -> Angles | None:
    """Scenes -> mean direction of the sensor; None where none says it."""
    return _mean(list(_views(items)))


def _suns(items: Sequence[Document]) -> Iterator[Angles]:
    for item in items:
        found = _numbers(item["properties"], "view:sun_elevation", "view:sun_azimuth")
        if found is not None:
            yield 90 - found[0], found[1]


def _views(items: Sequence[Document]) -> Iterator[Angles]:
    """Direction to the sensor of each item; where only its bands have one, their mean."""
    for item in items:
        found = _view(item["properties"])
        if found is None:
            bands = (_view(asset) for asset in item["assets"].values())
            found = _mean([each for each in bands if each is not None])
        if found is not None:
            yield found


def _view(fields: Mapping[str, Any]) -> Angles | None:
    # The zenith at the ground is the incidence angle; ours and others' off_nadir are that, too.
    return _numbers(fields, "view:incidence_angle", "view:azimuth") or _numbers(
        fields, "view:off_nadir", "view:azimuth"
    )


def _numbers(fields: Mapping[str, Any], *names: str) -> Angles | None:
    first, second = (fields.get(name) for name in names)
    if isinstance(first, int | float) and isinstance(second, int | float):
        return float(first), float(second)
    return None


def _mean(directions: Sequence[Angles]) -> Angles | None:
    """Directions -> that of their mean unit vector: near the zenith azimuths alone mean nothing."""
    if not directions:
        return None
    if len(set(directions)) == 1:
        return directions[0]
    east = north = up = 0.0
    for zenith, azimuth in directions:
        across = math.sin(math.radians(zenith))
        east += across * math.sin(math.radians(azimuth))
        north += across * math.cos(math.radians(azimuth))
        up += math.cos(math.radians(zenith))
    zenith = math.degrees(math.atan2(math.hypot(east, north), up))
    return zenith, math.degrees(math.atan2(east, north)) % 360


def _computed(time: datetime, extent: Extent) -> Angles:
    _geometry, (west, south, east, north) = lonlat(extent)
    middle = (west + east) / 2 if west <= east else (west + east + 360) / 2
    return sun_position(time, middle, (south + north) / 2)
