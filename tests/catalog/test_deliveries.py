"""Which of several deliveries of one acquisition counts."""

import itertools

import pytest

from catalog.deliveries import apply_deliveries, rule_deliveries
from catalog.testing import make_item

STRIP = "S2A_OPER_MSI_L2A_DS_{station}_{made}_S{start}_N{baseline}"


def delivery(item_id, *, baseline=None, made=None, start="20190512T105031", station="EPAE", **more):
    esa = {} if baseline is None else {"s2__processing_baseline": baseline}
    if made is not None:
        esa["s2__generation_time"] = made
    if start is not None:
        esa["s2__datastrip_id"] = STRIP.format(
            station=station, made="20190512T134103", start=start, baseline=baseline or "02.12"
        )
    values = {"platform": "sentinel-2a", "clearcube__level": "l2a", **esa, **more}
    return make_item(item_id, **values)


def superseded(*items):
    """Ids of the losers with their winners, whatever the order of the items."""
    rulings = [rule_deliveries(order) for order in itertools.permutations(items)]
    assert all(ruling == rulings[0] for ruling in rulings)
    return {key[1]: winner for key, winner in rulings[0].items() if winner is not None}


def test_higher_baseline_wins():
    old = delivery("z", baseline="02.12", made="2025-01-01T00:00:00Z")
    new = delivery("a", baseline="05.00", made="2023-01-01T00:00:00Z")
    newest = delivery("b", baseline="05.10", made="2024-01-01T00:00:00Z")
    assert superseded(old, new, newest) == {"z": "b", "a": "b"}


def test_then_the_later_made():
    one = delivery("z", baseline="02.12", made="2019-05-12T13:41:03Z")
    other = delivery("a", baseline="02.12", made="2019-05-12T15:00:00.5Z", station="MTI_")
    assert superseded(one, other) == {"z": "a"}


def test_then_the_higher_version():
    name = "SENTINEL2A_20190512-105031-000_L2A_T31UES_C_V{}"
    items = [
        delivery(name.format(version), start=None, clearcube__level="maja")
        for version in ("1-4", "1-10", "2-2")
    ]
    assert superseded(*items[:2]) == {name.format("1-4"): name.format("1-10")}
    assert set(superseded(*items).values()) == {name.format("2-2")}


def test_then_the_id():
    assert superseded(delivery("a"), delivery("b")) == {"a": "b"}


@pytest.mark.parametrize(
    "change",
    [
        {"start": "20190512T105100"},  # two granules of one datatake
        {"platform": "sentinel-2b"},
        {"tile": "31UFS"},
        {"clearcube__level": "maja"},
        {"start": None, "datetime": "2019-05-17T10:50:31Z"},
    ],
    ids=str,
)
def test_other_acquisitions_stand(change):
    assert (
        superseded(delivery("a", baseline="02.12"), delivery("b", baseline="05.00", **change)) == {}
    )


def test_without_datastrip_the_second_decides():
    one = delivery("a", start=None, datetime="2019-05-12T10:50:31.024Z")
    other = delivery("b", start=None, datetime="2019-05-12T10:50:31Z", platform="Sentinel-2A")
    assert superseded(one, other) == {"a": "b"}


def test_items_without_tile_or_level_are_not_compared():
    assert superseded(delivery("a", tile=None), delivery("b", tile=None)) == {}
    assert superseded(make_item("a"), make_item("b")) == {}


def test_same_id_in_two_collections():
    items = [delivery("a"), delivery("a", collection="theirs")]
    assert rule_deliveries(items) == {("sentinel-2-l2a", "a"): "a", ("theirs", "a"): None}


def test_marks_are_set_and_taken_away():
    old, new = delivery("old", baseline="02.12"), delivery("new", baseline="05.00")
    changed = apply_deliveries([old, new])
    assert [item["id"] for item in changed] == ["old"]
    assert changed[0]["properties"]["clearcube:superseded_by"] == "new"
    assert "clearcube:superseded_by" not in old["properties"]
    assert apply_deliveries([changed[0], new]) == []
    # The winner is gone: the other one counts again.
    assert apply_deliveries(changed) == [old]
