"""Modes as StartMaja plans them, and what a late date makes to be done again."""

from datetime import datetime, timedelta

from cube.mtcd.modes import Acquisition, plan_modes, to_redo
from cube.mtcd.params import MtcdParams

PRODUCTS = (
    "S2A_MSIL1C_20210512T104021_N0300_R008_T31TFJ_20210512T124510",
    "S2B_MSIL1C_20210514T102559_N0300_R108_T31TFJ_20210514T123015",
    "S2B_MSIL1C_20210517T103619_N0300_R008_T31TFJ_20210517T124210",
)
TOO_FEW = "Not enough L1 products available for a BACKWARD mode."


def product(name):
    return Acquisition(name, datetime.strptime(name.split("_")[2], "%Y%m%dT%H%M%S"))


def days(*numbers, start=datetime(2019, 5, 1, 10, 40)):
    return [Acquisition(f"d{n}", start + timedelta(days=n)) for n in numbers]


def modes(plan):
    return [each.mode for each in plan]


def table(plan):
    return {each.name: each for each in plan}


def test_three_products_of_may_2021():
    plan = plan_modes([product(name) for name in reversed(PRODUCTS)], [], MtcdParams())
    assert [each.name for each in plan] == list(PRODUCTS)
    assert modes(plan) == ["INIT", "NOMINAL", "NOMINAL"]
    assert [each.info for each in plan] == [
        "Init mode - No previous L2",
        "L2 from previous",
        "L2 from previous",
    ]
    assert plan[0].reason == f"{TOO_FEW} Beginning with INIT..."
    assert plan[1].reason == "2.0 days after the previous date; a start is made from 15 on"
    assert [each.follows for each in plan] == [None, PRODUCTS[0], PRODUCTS[1]]


def test_the_same_with_two_backward():
    plan = plan_modes([product(name) for name in PRODUCTS], [], MtcdParams(nbackward=2))
    assert modes(plan) == ["BACKWARD", "NOMINAL", "NOMINAL"]
    assert plan[0].info == "Backward of 2 products"
    assert plan[0].reads == PRODUCTS[:2]


def test_a_gap_starts_anew():
    params = MtcdParams(nbackward=3)
    plan = plan_modes(days(0, 5, 10, 25, 39, 40, 55), [], params)
    assert modes(plan) == [
        "BACKWARD", "NOMINAL", "NOMINAL", "BACKWARD", "NOMINAL", "NOMINAL", "INIT",
    ]  # fmt: skip
    assert plan[3].reads == ("d25", "d39", "d40")
    assert plan[6].reason == (
        f"{TOO_FEW} Continuing with INIT... (15.0 days after the previous date; "
        "a start is made from 15 on)"
    )


def test_one_satellite_has_twice_the_gap():
    early = days(0, 29, 59, start=datetime(2017, 4, 1))
    assert modes(plan_modes(early, [], MtcdParams())) == ["INIT", "NOMINAL", "INIT"]
    assert modes(plan_modes(early, [], MtcdParams(gap=31))) == ["INIT", "NOMINAL", "NOMINAL"]


def test_what_is_done_stays_and_what_is_near_is_followed():
    dates = days(0, 5, 10)
    near = Acquisition("near", dates[1].moment + timedelta(hours=6))
    plan = plan_modes(dates, [near], MtcdParams())
    assert [each.name for each in plan] == ["d0", "d10"]
    assert modes(plan) == ["INIT", "NOMINAL"]
    assert table(plan)["d10"].follows == "d5"
    before = days(-20, -15, -3)
    (first, *_) = plan_modes(dates, before, MtcdParams())
    assert (first.mode, first.follows) == ("NOMINAL", "d-3")
    (first, *_) = plan_modes(dates, before[:1], MtcdParams())
    assert first.mode == "INIT"
    assert plan_modes(dates, dates, MtcdParams()) == ()


def test_a_late_date_redoes_what_follows_it():
    params = MtcdParams(nbackward=2)
    done = table(plan_modes(days(0, 5, 15, 20, 40, 45), [], params))
    assert to_redo(done, tuple(done.values())) == ()
    late = plan_modes(days(0, 5, 10, 15, 20, 40, 45), [], params)
    # The start on day 40 reads nothing before it.
    assert to_redo(done, late) == ("d10", "d15", "d20")
    # A late second date is one that the start backward reads.
    late = plan_modes(days(0, 2, 5, 15, 20, 40, 45), [], params)
    assert to_redo(done, late) == ("d0", "d2", "d5", "d15", "d20")
    late = plan_modes(days(0, 5, 15, 20, 40, 45, 50), [], params)
    assert to_redo(done, late) == ("d50",)
