"""Which tests a date allows, and why others do not run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cube.mtcd.image import ROLES

NEEDS: Mapping[str, tuple[str, ...]] = {
    "high_cloud": ("cirrus",),
    "snow": ("green", "red", "swir16"),
    "cloud_one_date": ("blue", "red", "nir", "swir16"),
    "cloud_over_water": ("red", "nir", "swir22"),
    "cloud_many_dates": ("blue", "red", "nir"),
    "correlation": ("red",),
    "thinnest_clouds": ("blue", "red", "nir"),
    "shadow": ("red",),
    "shadow_from_outside": ("red",),
    "water": ("red", "nir"),
}
"""Test -> roles of the bands it needs; those that find a bit are named as the bit."""

COMPARING = (
    "cloud_over_water",
    "cloud_many_dates",
    "correlation",
    "thinnest_clouds",
    "shadow",
    "shadow_from_outside",
)
"""Tests that need earlier dates: not evaluated in INIT."""

_TAKES_B02 = ("cloud_one_date", "cloud_many_dates", "thinnest_clouds")
_TAKES_RELIEF = ("snow", "shadow", "shadow_from_outside", "water")
_TAKES_VIEW = ("cloud_over_water", "shadow", "shadow_from_outside")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Whether a test runs on a date."""

    done: bool
    note: str = ""
    """Why it does not; or with what it makes do."""

    @property
    def text(self) -> str:
        """As tables and items say it."""
        said = "evaluated" if self.done else "not evaluated"
        return f"{said}: {self.note}" if self.note else said


def evaluations(
    sources: Mapping[str, str],
    level: str,
    *,
    altitude: bool,
    view: bool,
    compared: bool,
) -> dict[str, Evaluation]:
    """Bands by role, level, what else is known -> each test by name, with its evaluation.

    ``compared`` says whether there is a reference from earlier dates.
    """
    found = {}
    for test, roles in NEEDS.items():
        missing = [role for role in roles if role not in sources]
        reason = ""
        if test == "high_cloud" and level != "l1c":
            reason = f"1.38 µm (B10) is kept in L1C alone, this is {level}"
        elif missing:
            reason = f"no {' nor '.join(_band(role) for role in missing)}"
        elif test == "high_cloud" and not altitude:
            reason = "no altitude; ingest a DEM"
        elif test in COMPARING and not compared:
            reason = "no reference from another date (INIT)"
        if reason:
            found[test] = Evaluation(False, reason)
        else:
            found[test] = Evaluation(True, _makeshift(test, sources, altitude, view))
    return found


def not_evaluated(tests: Mapping[str, Evaluation]) -> dict[str, str]:
    """Evaluations -> the tests that do not run, by name, with the reason."""
    return {name: each.note for name, each in tests.items() if not each.done}


def _band(role: str) -> str:
    return f"band {' or '.join(ROLES[role])}"


def _makeshift(test: str, sources: Mapping[str, str], altitude: bool, view: bool) -> str:
    notes: Collection[tuple[bool, str]] = (
        (
            test in _TAKES_B02 and sources.get("blue") == "blue",
            "with B02 for B01, at the thresholds published for B01",
        ),
        (test in _TAKES_RELIEF and not altitude, "without altitudes: the ground taken as flat"),
        (test in _TAKES_VIEW and not view, "without the view's direction: taken as nadir"),
    )
    return "; ".join(text for applies, text in notes if applies)
