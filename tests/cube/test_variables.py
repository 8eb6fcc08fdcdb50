"""What a cube of each level holds, and where."""

import pytest

from cube.errors import BandError, GridError
from cube.variables import NATIVE, group_name, level_variables

TEN = ["blue", "green", "red", "nir"]
TWENTY = ["rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22"]


def names(level: str, group: str, resolution: int | None = None) -> list[str]:
    return [v.name for v in level_variables(level, resolution) if v.group == group]


@pytest.mark.parametrize(
    ("level", "ten", "twenty"),
    [
        ("l2a", TEN, [*TWENTY, "scl", "aot"]),
        ("maja", [*TEN, "clm", "mg2", "edg", "sat"], [*TWENTY, "sat", "aot"]),
        ("l1c", TEN, [*TWENTY, "classi"]),
    ],
)
def test_each_level_has_its_bands_and_masks_at_native_resolution(
    level: str, ten: list[str], twenty: list[str]
) -> None:
    assert names(level, "r10m") == ten
    assert names(level, "r20m") == twenty
    assert len(level_variables(level)) == len(ten) + len(twenty)
    assert {v.resolution for v in level_variables(level)} == set(NATIVE)
    for variable in level_variables(level):
        assert variable.group == group_name(variable.resolution)


def test_encodings_of_the_kinds() -> None:
    by_name = {v.name: v for v in level_variables("maja")}
    red, clm, aot = by_name["red"], by_name["clm"], by_name["aot"]
    assert (red.kind, red.dtype, red.fill_value, red.scale) == (
        "reflectance", "int16", -10000, 0.0001,
    )  # fmt: skip
    assert (clm.kind, clm.dtype, clm.fill_value, clm.scale) == ("encoded", "uint8", 0, None)
    assert (aot.kind, aot.dtype, aot.fill_value, aot.scale) == ("aot", "int16", -10000, 0.001)
    assert red.title == "B04 reflectance"
    outside = {v.name: v.outside for v in level_variables("maja")}
    assert outside["edg"] == 1  # beyond the raster is beyond the image
    assert [name for name, value in outside.items() if value] == ["edg"]


def test_the_two_saturation_masks_come_from_their_own_assets() -> None:
    assets = [(v.group, v.asset) for v in level_variables("maja") if v.name == "sat"]
    assert assets == [("r10m", "sat"), ("r20m", "sat_20m")]


@pytest.mark.parametrize("resolution", [10, 20, 60])
@pytest.mark.parametrize("level", ["l2a", "maja", "l1c"])
def test_one_resolution_puts_all_in_one_group(level: str, resolution: int) -> None:
    variables = level_variables(level, resolution)
    assert {v.group for v in variables} == {f"r{resolution}m"}
    found = [v.name for v in variables]
    assert len(found) == len(set(found))
    assert set(found) == {v.name for v in level_variables(level)}
    # The nominal resolution stays that of the source.
    native = {(v.name, v.asset): v.resolution for v in level_variables(level)}
    assert all(native[v.name, v.asset] == v.resolution for v in variables)


def test_of_two_masks_of_one_name_the_finer_stays() -> None:
    (sat,) = [v for v in level_variables("maja", 20) if v.name == "sat"]
    assert (sat.asset, sat.resolution, sat.group) == ("sat", 10, "r20m")


def test_what_is_no_level_or_resolution_is_refused() -> None:
    with pytest.raises(BandError, match="there is no level 'l3a'; the levels are l2a maja l1c"):
        level_variables("l3a")
    with pytest.raises(GridError, match="5 m is finer than any band; 10 m is the finest"):
        level_variables("l2a", 5)
