"""Measures of syntheses, pixel by pixel: values by hand, and against slow references."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cube.errors import GridError
from cube.quality import (
    Differences,
    Gaps,
    clear_median,
    darkest,
    date_distance,
    differences,
    gaps,
    ndvi,
    residual,
    temporal_noise,
)

NODATA = -10000


def dn(*rows):
    return np.array(rows, np.int16)


def test_gaps_are_observed_pixels_never_seen_clear() -> None:
    clear = np.array([[0, 0, 2], [1, 2, 255]], np.uint8)
    total = np.array([[0, 3, 4], [1, 2, 255]], np.uint8)
    found = gaps(clear, total)
    assert (found.pixels, found.unseen) == (5, 1)
    assert found.histogram[[0, 1, 2, 255]].tolist() == [1, 1, 2, 1]
    assert found.share == 1 / 5
    area = np.array([[True, False, True], [True, True, False]])
    document = gaps(clear, total, area).document()
    assert document == {
        "pixels": 3, "never_observed": 1, "share": 0, "mean_clear_count": 1.66667,
        "clear_count": [0, 1, 2],
    }  # fmt: skip


def test_nothing_to_judge_is_none() -> None:
    none = np.zeros((1, 2), np.uint8)
    assert gaps(none, none).document()["share"] is None
    empty = dn([NODATA, NODATA])
    assert set(differences(empty, empty).document().values()) == {0, None}
    shares = residual(empty, empty, empty, empty, empty, empty).document()
    assert shares == {
        "judged": 0, "cloud": None, "cloud_by_darkest_clear": None,
        "cloud_by_reference_alone": None, "shadow": None,
    }  # fmt: skip
    weightless = np.zeros((1, 2), np.float32)
    assert date_distance(dn([5, 6]), weightless, 5).document() == {
        "pixels": 0, "mean": None, "sd": None,
    }  # fmt: skip
    assert temporal_noise(empty, dn([1, 2]), dn([1, 2])).document()["rms"] is None


def test_the_median_is_of_clear_values() -> None:
    values = np.array([[[100, 7]], [[300, NODATA]], [[200, 9]], [[999, 10]]], np.int16)
    clear = np.array([[[1, 0]], [[1, 1]], [[1, 1]], [[0, 1]]], np.bool_)
    # 9.5 to the even of its neighbours.
    assert clear_median(values, clear).tolist() == [[200, 10]]
    assert clear_median(values, np.zeros_like(clear)).tolist() == [[NODATA, NODATA]]
    assert clear_median(values[:0], clear[:0]).tolist() == [[NODATA, NODATA]]
    assert darkest(values, clear).tolist() == [[100, 9]]
    assert darkest(values, np.zeros_like(clear)).tolist() == [[NODATA, NODATA]]
    with pytest.raises(GridError, match="both"):
        clear_median(values, clear[:2])


@given(
    arrays.arrays(np.int16, (5, 2, 2), elements=st.sampled_from([NODATA, -30, 0, 7, 8, 5000])),
    arrays.arrays(np.bool_, (5, 2, 2)),
)
def test_the_median_against_sorted_lists(values, clear) -> None:
    found, least = clear_median(values, clear), darkest(values, clear)
    for y, x in np.ndindex(2, 2):
        held = [
            int(v) for v, c in zip(values[:, y, x], clear[:, y, x], strict=True) if c and v > NODATA
        ]
        assert found[y, x] == (round(statistics.median(held)) if held else NODATA)
        assert least[y, x] == min(held, default=NODATA)


def test_residual_cloud_is_above_the_reference_and_the_darkest() -> None:
    # Cloud; bright in the whole window; bright but for a date that the mask refuses; too little;
    # no ground shown; no reference; never observed clear in the window.
    blue = dn([1001, 1001, 1001, 1000, NODATA, 3000, 1001])
    reference = dn([600, 600, 600, 600, 600, NODATA, 600])
    least = dn([600, 650, 600, 100, 100, 100, NODATA])
    of_clear = dn([600, 900, 650, 100, 100, 100, NODATA])
    nir = dn([1000, 1199, 1200, NODATA, 100, 100, 100])
    lit = dn([2000, 2000, 2000, 2000, 2000, NODATA, 2000])
    found = residual(blue, nir, reference, lit, least, of_clear)
    assert (found.judged, found.cloud, found.cloud_of_clear, found.bright) == (5, 3, 2, 4)
    assert (found.judged_shadow, found.shadow) == (5, 4)
    assert found.document()["cloud"] == 0.6
    area = np.array([[True, False, False, False, True, True, True]])
    found = residual(blue, nir, reference, lit, least, of_clear, area)
    assert (found.judged, found.cloud, found.judged_shadow, found.shadow) == (2, 2, 3, 3)


def test_differences_by_hand() -> None:
    # Within 0.01; within 5 %; neither; nodata in one of them.
    found = dn([200, 4200, 1101, NODATA, 5])
    reference = dn([100, 4000, 1000, 7, NODATA])
    one = differences(found, reference)
    assert (one.count, one.total, one.squares) == (3, 401, 100**2 + 200**2 + 101**2)
    assert one.document() == {
        "pixels": 3, "rmse": 0.0141658, "bias": 0.0133667, "mad": 0.0101, "within": 0.666667,
    }  # fmt: skip
    # The reference counts, not the value; to the dn.
    assert differences(dn([4201]), dn([4000])).within == 0
    assert differences(dn([4000]), dn([4201])).within == 1
    assert differences(found, reference, np.array([[0, 1, 0, 1, 1]], np.bool_)).total == 200


@given(
    arrays.arrays(np.int16, (2, 4, 5), elements=st.integers(-200, 10000) | st.just(NODATA)),
    arrays.arrays(np.int16, (4, 5), elements=st.integers(-200, 10000) | st.just(NODATA)),
    st.integers(0, 4),
)
def test_differences_against_lists_and_by_parts(pair, truth, cut) -> None:
    whole = differences(pair[0], truth)
    apart = [
        (int(a) - int(b)) / 10000
        for a, b in zip(pair[0].ravel(), truth.ravel(), strict=True)
        if NODATA not in (a, b)
    ]
    assert whole.count == len(apart)
    if apart:
        assert whole.bias == pytest.approx(statistics.fmean(apart), abs=1e-12)
        assert whole.rmse == pytest.approx(math.sqrt(statistics.fmean(d * d for d in apart)))
        assert whole.mad == pytest.approx(statistics.median(map(abs, apart)))
    parts = Differences()
    for rows in (slice(0, cut), slice(cut, 4)):
        parts.add(differences(pair[0][rows], truth[rows]))
    assert parts.document() == whole.document()


def test_ndvi_in_ten_thousandths() -> None:
    red, nir = dn([1000, 0, 0, NODATA, -50, 100]), dn([3000, 400, 0, 1, 30, 0])
    # Nothing where both are dark; -1 would be nodata.
    assert ndvi(red, nir).tolist() == [[5000, 10000, NODATA, NODATA, NODATA, -9999]]


def test_dates_are_weighed() -> None:
    date = dn([10, 30, NODATA, 99])
    weight = np.array([[3, 1, 5, 0]], np.float32)
    found = date_distance(date, weight, 20)
    # 10 days of both: they are as far, to either side.
    assert (found.pixels, found.mean, found.sd) == (2, 10, 0)
    found = date_distance(date, weight, 30)
    assert found.mean == 15
    assert found.sd == pytest.approx(math.sqrt(75))
    assert date_distance(date, weight, 30, np.array([[0, 1, 1, 1]], np.bool_)).mean == 0


def test_noise_along_time() -> None:
    before, here, after = dn([100, 100, 1]), dn([200, 150, 1]), dn([100, 301, NODATA])
    found = temporal_noise(before, here, after)
    assert (found.count, found.squares) == (2, 200**2 + 101**2)
    assert found.rms == pytest.approx(math.sqrt((0.01**2 + 0.00505**2) / 2))
    assert temporal_noise(before, here, after, np.array([[1, 0, 0]], np.bool_)).rms == 0.01


def test_layers_must_lie_on_each_other() -> None:
    with pytest.raises(GridError, match=r"\(1, 2\) \(1, 3\)"):
        differences(dn([1, 2]), dn([1, 2, 3]))
    with pytest.raises(GridError, match="one shape"):
        gaps(np.zeros(3, np.uint8), np.zeros(3, np.uint8))


def test_figures_of_blocks_add_up() -> None:
    clear = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    total = Gaps()
    for rows in (slice(0, 1), slice(1, 3)):
        total.add(gaps(clear[rows], clear[rows] + np.uint8(1)))
    assert total.document() == gaps(clear, clear + np.uint8(1)).document()
