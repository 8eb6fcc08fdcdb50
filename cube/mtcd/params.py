"""Parameters of mtcd, each with its unit and source."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_DOC = "MAJA parameters of Sentinel-2 as CESBIO publishes them, version 4"
_GIPP = "MAJA parameter file of Sentinel-2 (GIP_L2COMM) of 2017"
_HERE = "this project"


def _field(
    default: Any, unit: str, source: str, description: str, *, ge: float = 0, le: float = 1
) -> Any:
    return Field(
        default,
        ge=ge,
        le=le,
        description=description,
        json_schema_extra={"unit": unit, "source": source},
    )


class MtcdParams(BaseModel):
    """Thresholds of mtcd; the defaults are those published for MAJA 4.

    Blue thresholds were published for B01. Where a cube has none they are used unchanged with B02,
    which sees clouds alike and soils a little brighter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coarse: int = _field(
        240,
        "metres",
        "MAJA, L2CoarseResolution; smaller on small extents: this project",
        "Largest cell of the grid on which the tests run: 240, 120, 60 or 20; a smaller one of "
        "these is taken where the extent has fewer than 32 cells a side",
        ge=20,
        le=240,
    )

    # One date
    cloud_blue: float = _field(
        0.24, "reflectance", f"{_DOC} (B01)", "A cloud's blue is above this", le=2
    )
    cloud_red: float = _field(0.15, "reflectance", _GIPP, "A cloud's red is above this", le=2)
    nir_red_min: float = _field(
        0.8, "1", _GIPP, "A cloud's near infrared is above red times this", le=10
    )
    nir_red_max: float = _field(
        2.0, "1", _GIPP, "A cloud's near infrared is below red times this", le=10
    )
    nir_swir_min: float = _field(
        1.0, "1", _GIPP, "A cloud's near infrared is above 1.6 µm times this", le=10
    )
    cloud_over_water: float = _field(
        0.04, "reflectance", _DOC, "Above this at 2.2 µm, known water is under cloud"
    )
    cloud_over_glint: float = _field(
        0.16, "reflectance", _DOC, "The same where the sun is mirrored toward the sensor"
    )
    glint_angle: float = _field(
        30,
        "degrees",
        "MAJA, sunglint flag",
        "Sunglint where the view is nearer to the mirrored sun than this",
        le=90,
    )
    cirrus_offset: float = _field(
        0.007, "reflectance", _DOC, "High cloud above this at 1.38 µm, at sea level"
    )
    cirrus_gain: float = _field(
        1.2e-5, "1/m", _DOC, "What the square of the altitude over cirrus_altitude adds"
    )
    cirrus_altitude: float = _field(
        2000, "metres", "MAJA, Alt_Ref", "Altitude that scales the square", ge=1, le=9000
    )
    snow_ndsi: float = _field(
        0.4, "1", _GIPP, "Snow's (green - 1.6 µm) / (green + 1.6 µm) is above this"
    )
    snow_red: float = _field(0.12, "reflectance", _GIPP, "Snow's red is above this")
    snow_swir: float = _field(0.16, "reflectance", _GIPP, "Snow's 1.6 µm is below this")
    snow_radius: int = _field(1, "cells", _GIPP, "Gaps in snow up to this wide are closed", le=10)

    # Many dates
    haze_min: float | None = _field(
        None,
        "reflectance",
        f"{_DOC}: 0.016 at 240 m, 0.018 at 120 m; 0.020 at 60 m and 0.022 at 20 m: {_HERE}",
        "Rise of the haze index (blue - red / 2) above a fresh reference that is cloud; by "
        "default according to the cell, as finer cells vary more",
    )
    haze_max: float = _field(0.060, "reflectance", _DOC, "The threshold grows to this at most")
    forgetting: float = _field(
        45, "days", _DOC, "Age of the reference at which the threshold has doubled", ge=1, le=1000
    )
    thin_step: float = _field(
        0.005, "reflectance", _GIPP, "The thinnest clouds lie so far below the threshold"
    )
    nir_blue: float = _field(
        1.2,
        "1",
        _GIPP,
        "A cloud's relative rise of near infrared is below that of blue times this",
        le=100,
    )
    red_blue: float = _field(
        1.5, "1", _GIPP, "A cloud's rise of red is below that of blue times this", le=100
    )
    correlation: float = _field(
        0.80, "1", _GIPP, "Above this correlation with an earlier date the ground is seen"
    )
    correlation_radius: int = _field(
        3, "cells", _GIPP, "The window of the correlation has twice this plus one a side", le=20
    )
    correlation_least: int = _field(
        15, "cells", _GIPP, "Fewest cells of the window with data on both dates", ge=3, le=1681
    )
    stack: int = _field(10, "dates", _GIPP, "Earlier dates kept for the correlation", ge=0, le=50)
    discarded: float = _field(
        0.20,
        "1",
        _GIPP,
        "Thin cells that correlate are given up where they are more than this of their cloud",
    )

    # Shadows
    height_max: float = _field(
        8000, "metres", _GIPP, "Shadows are sought for clouds up to this altitude", le=20000
    )
    height_step: float = _field(
        250,
        "metres",
        f"{_GIPP}; finer where it would skip a cell: {_HERE}",
        "Step between these altitudes",
        ge=10,
        le=1000,
    )
    darkening_max: float = _field(
        0.65, "1", _GIPP, "A shadow's red is below the reference's times this"
    )
    darkening_percentile: float = _field(
        0.10, "1", _GIPP, "At least this share of the clear land may be in shadow"
    )
    darkening_cover: float = _field(
        1.1, "1", _GIPP, "That share is the share of clouds times this, if larger", le=10
    )
    shadow_share: float = _field(
        0.5, "1", _GIPP, "Shadow cells for each cell of cloud that are taken as they are", le=10
    )
    shadow_share_small: float = _field(1.0, "1", _GIPP, "The same for small clouds", le=10)
    small_cloud: int = _field(10, "cells", _GIPP, "A cloud of fewer cells is small", ge=0, le=10000)
    outside_darkening_max: float = _field(
        0.2, "1", _GIPP, "The shadow of a cloud outside the image is darker than this"
    )
    outside_percentile: float = _field(
        0.30, "1", _GIPP, "and darker than this share of the shadows inside"
    )
    outside_persistent: float = _field(
        0.8,
        "1",
        _GIPP,
        "A patch of which more than this was such a shadow the date before is dark ground",
    )

    # Reference, water, validity
    dilation: int = _field(
        1, "cells", "MAJA, SE_Cloud_Radius of Theia's production", "Every mask grows by this", le=20
    )
    max_age: int = _field(
        90, "days", _GIPP, "Older pixels of the reference are forgotten", ge=1, le=3650
    )
    shadows_in_reference: bool = Field(
        False,
        description="Whether shadows enter the reference, as in MAJA; else they are kept out",
        json_schema_extra={"unit": "yes or no", "source": _HERE},
    )
    max_cloud: float = _field(
        90, "percent", _DOC, "A cloudier date leaves the reference as it was", le=100
    )
    water_ndvi: float = _field(0.01, "1", _GIPP, "Water's NDVI is below this", ge=-1)
    water_red: float = _field(0.05, "reflectance", _GIPP, "Water's red is below this")
    water_slope: float = _field(0.15, "1", _GIPP, "Steeper ground is no water", le=10)
    water_dates: int = _field(
        10, "dates", _GIPP, "Water is judged on this many clear dates", ge=1, le=16
    )
    water_share: float = _field(0.5, "1", _GIPP, "on which it was at least this often")

    # Modes
    gap: int | None = _field(
        None,
        "days",
        "StartMaja: 30 before 2017-07-01, 15 from then on",
        "A date this long after the one before starts anew",
        ge=1,
        le=3650,
    )
    nbackward: int = _field(
        8, "dates", "StartMaja", "A start goes back from this many dates on", ge=2, le=100
    )


HAZE_MIN = {240: 0.016, 120: 0.018, 60: 0.020, 20: 0.022}
"""Cell in metres -> `MtcdParams.haze_min` where it is not given."""
