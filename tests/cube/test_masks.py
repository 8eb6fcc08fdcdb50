"""Decoding against slow readings of the rules, explanations, contradictions, grids, fractions."""

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cube import classes, masks
from cube.errors import BandError, MaskError

BYTES = np.arange(256, dtype="uint8")


# The rules of SCL and of CLM with MG2 and EDG, written once more, pixel by pixel.


def slow_scl(value, reading="standard", unclassified="thin"):
    if value in (0, 1):
        return 0
    if value == 2:
        return 3 if reading == "strict" else 1
    if value in (4, 5):
        return 1
    if value == 3:
        return 1 if reading == "clouds-only" else 3
    if value == 6:
        return 6
    if value == 7:
        return 1 if unclassified == "clear" and reading != "strict" else 4
    if value == 10:
        return 4
    if value in (8, 9):
        return 2
    if value == 11:
        return 5
    return None


def slow_clm(clm, mg2=0, edg=0, reading="standard"):
    if edg:
        return 0
    if reading == "strict" and mg2 & 0b00100000:
        return 0
    shadow = clm & 0b01100000
    if clm & 0b10001110:
        return 2
    if clm & 0b00000001 and not shadow:
        return 2
    if reading == "strict" and mg2 & 0b00000010:
        return 2
    if shadow and reading != "clouds-only":
        return 3
    if reading == "strict" and mg2 & 0b11011000:
        return 3
    if clm & 0b00010000:
        return 4
    if mg2 & 0b00000100:
        return 5
    if mg2 & 0b00000001:
        return 6
    return 1


@pytest.mark.parametrize("reading", masks.READINGS)
@pytest.mark.parametrize("unclassified", ["thin", "clear"])
def test_every_scl_value(reading, unclassified):
    values = BYTES[:12]
    decoded = masks.decode("scl", {"scl": values}, reading, unclassified=unclassified)
    assert decoded.dtype == np.uint8
    assert decoded.tolist() == [slow_scl(int(each), reading, unclassified) for each in values]


def test_scl_as_the_contract_states_it():
    decoded = masks.decode("scl", {"scl": BYTES[:12]})
    assert decoded.tolist() == [0, 0, 1, 3, 1, 1, 6, 4, 2, 2, 4, 5]


@pytest.mark.parametrize("reading", masks.READINGS)
def test_every_clm_value_alone(reading):
    decoded = masks.decode("clm", {"clm": BYTES}, reading)
    assert decoded.tolist() == [slow_clm(int(each), reading=reading) for each in BYTES]


@pytest.mark.parametrize("reading", masks.READINGS)
def test_every_pair_of_clm_and_mg2(reading):
    clm, mg2 = (each.astype("uint8") for each in np.meshgrid(BYTES, BYTES))
    expected = np.vectorize(slow_clm, otypes=["uint8"])(clm, mg2, 0, reading)
    np.testing.assert_array_equal(masks.decode("clm", {"clm": clm, "mg2": mg2}, reading), expected)
    edg = np.zeros_like(clm)
    three = {"clm": clm, "mg2": mg2, "edg": edg}
    np.testing.assert_array_equal(masks.decode("clm", three, reading), expected)
    edg[:, 100:] = 1
    assert not masks.decode("clm", three, reading)[:, 100:].any()


@given(
    arrays("uint8", (3, 4, 5, 3), elements=st.integers(0, 255)),
    st.sampled_from(masks.READINGS),
)
def test_clm_with_companions_in_any_shape(drawn, reading):
    clm, mg2, edg = (drawn[..., i] for i in range(3))  # not contiguous
    edg = edg & np.uint8(1)
    decoded = masks.decode("clm", {"clm": clm, "mg2": mg2, "edg": edg}, reading)
    expected = np.vectorize(slow_clm, otypes=["uint8"])(clm, mg2, edg, reading)
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize(
    ("clm", "mg2", "edg", "expected"),
    [
        (0b00000000, 0b0000, 0, classes.CLEAR),
        (0b00000001, 0b0000, 0, classes.CLOUD),
        (0b00000010, 0b0000, 0, classes.CLOUD),
        (0b00000100, 0b0000, 0, classes.CLOUD),
        (0b00001000, 0b0000, 0, classes.CLOUD),
        (0b00010000, 0b0000, 0, classes.THIN_CLOUD),
        (0b00010001, 0b0000, 0, classes.CLOUD),
        (0b00100000, 0b0000, 0, classes.CLOUD_SHADOW),
        (0b00100001, 0b0000, 0, classes.CLOUD_SHADOW),
        (0b01000001, 0b0000, 0, classes.CLOUD_SHADOW),
        (0b10000000, 0b0000, 0, classes.CLOUD),
        (0b01110001, 0b0101, 0, classes.CLOUD_SHADOW),
        (0b00010000, 0b0101, 0, classes.THIN_CLOUD),
        (0b00000000, 0b0101, 0, classes.SNOW),
        (0b00000000, 0b0001, 0, classes.WATER),
        (0b00000000, 0b1010, 0, classes.CLEAR),
        (0b11111111, 0b0101, 1, classes.NO_OBSERVATION),
    ],
)
def test_clm_by_case(clm, mg2, edg, expected):
    given_arrays = {
        key: np.array([each], dtype="uint8")
        for key, each in (("clm", clm), ("mg2", mg2), ("edg", edg))
    }
    assert masks.decode("clm", given_arrays).tolist() == [expected]


def test_shadow_over_snow_is_snow_when_only_clouds_count():
    given_arrays = {"clm": np.uint8([0b00100001]), "mg2": np.uint8([0b0100])}
    assert masks.decode("clm", given_arrays, "clouds-only").tolist() == [classes.SNOW]


def test_strict_clm_is_clear_only_where_the_value_is_zero():
    decoded = masks.decode("clm", {"clm": BYTES}, "strict")
    assert (decoded == classes.CLEAR).tolist() == [value == 0 for value in range(256)]


# Explanations


def test_a_consistent_value_is_explained_without_a_word_on_contradictions():
    found = masks.explain("clm", 33)
    assert found.lines == (
        "bit 0 (value 1): all clouds except the thinnest, or any shadow",
        "bit 5 (value 32): shadow of a cloud that was detected in the image",
    )
    assert found.class_name == "cloud_shadow"
    assert found.contradictions == ()


def test_25_contradicts_its_summary_of_clouds():
    found = masks.explain("clm", 25)
    assert [line[:6].strip(" (") for line in found.lines] == ["bit 0", "bit 3", "bit 4"]
    assert found.class_name == "cloud"
    (sentence,) = found.contradictions
    assert "bit 3" in sentence
    assert "contradicts its summary bit 1" in sentence


def test_74_contradicts_its_summary_of_all():
    found = masks.explain("clm", 74)
    assert [line.split(":")[0] for line in found.lines] == [
        "bit 1 (value 2)",
        "bit 3 (value 8)",
        "bit 6 (value 64)",
    ]
    assert [each.split("(")[0].strip() for each in found.contradictions] == ["bit 1", "bit 6"]
    assert all("contradicts its summary bit 0" in each for each in found.contradictions)


@pytest.mark.parametrize("value", [0, 1, 7, 11, 16, 19, 27, 33, 65, 75, 131, 143])
def test_well_formed_clm_values_contradict_nothing(value):
    assert masks.explain("clm", value).contradictions == ()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("clm", 256, "out of the range of clm"),
        ("clm", -1, "out of the range"),
        ("clm", 1.5, "whole numbers"),
        ("clm", "x", "whole numbers"),
        ("clm", "", "whole numbers"),
        ("clm", float("nan"), "whole numbers"),
        ("clm", float("inf"), "whole numbers"),
        ("scl", 12, "has no meaning; its values are 0 1 2"),
        ("qa60", 1, "has no meaning; its bits are 10, 11"),
        ("qa60", 65536, "out of the range"),
        ("s2cloudless-prob", 1.5, "from 0 to 1"),
        ("s2cloudless-prob", "x", "from 0 to 1"),
    ],
)
def test_what_means_nothing_is_refused(name, value, message):
    with pytest.raises(MaskError, match=message):
        masks.explain(name, value)


def test_values_may_be_given_as_text():
    assert (
        masks.explain("clm", "33") == masks.explain("clm", "0b100001") == masks.explain("clm", 33)
    )
    assert masks.explain("clm", "0x21") == masks.explain("clm", 33.0)
    assert masks.explain("clm", "007").value == 7


def test_other_kinds_are_explained_too():
    assert masks.explain("scl", 7).lines == ("value 7: unclassified",)
    assert masks.explain("clm", 0).lines == ("no bit is set",)
    assert masks.explain("classi", 255).lines == ("value 255: no data",)
    found = masks.explain("qa_pixel", 22280)
    assert "bit 3 (value 8): cloud, high confidence" in found.lines
    assert "bits 8-9 (value 768): confidence in cloud, high" in found.lines
    assert found.class_name == "cloud"
    assert masks.explain("s2cloudless-prob", "0.41").class_name == "cloud"
    assert masks.explain("s2cloudless-prob", 0.4).class_name == "clear"


def test_an_unknown_encoding_names_the_known_ones():
    with pytest.raises(BandError, match=r"cloudmask.*alcd.*clm.*scl"):
        masks.encoding("cloudmask")


# Contradictions


def test_contradictions_are_counted_and_nothing_is_rewritten():
    clm = np.uint8([[0, 33, 25], [74, 16, 27]])
    before = clm.copy()
    assert masks.contradictions("clm", {"clm": clm}) == 2
    np.testing.assert_array_equal(clm, before)
    edg = np.uint8([[1, 1, 1], [0, 0, 0]])
    # At the edge 33 counts as well, 25 not twice, and 0 is as it should be.
    assert masks.contradictions("clm", {"clm": clm, "edg": edg}) == 3


def test_contradictions_of_all_values():
    def denied(clm):
        return (clm & 0b10001100 and not clm & 0b10) or (clm & 0b01100010 and not clm & 0b1)

    assert masks.contradictions("clm", {"clm": BYTES}) == sum(map(bool, map(denied, range(256))))
    assert masks.contradictions("scl", {"scl": BYTES}) == 0


# Wrong use


def test_wrong_use_is_told():
    scl = np.uint8([4])
    with pytest.raises(BandError, match="needs the raster 'scl'"):
        masks.decode("scl", {"clm": scl})
    with pytest.raises(MaskError, match="no reading is called 'loose'"):
        masks.decode("scl", {"scl": scl}, "loose")
    with pytest.raises(MaskError, match="no option 'buffer'; its options: unclassified"):
        masks.decode("scl", {"scl": scl}, buffer=3)
    with pytest.raises(MaskError, match="choose thin or clear"):
        masks.decode("scl", {"scl": scl}, unclassified="cloud")
    with pytest.raises(MaskError, match=r"values without meaning in scl: 12 \(1 pixels\), 255 \(2"):
        masks.decode("scl", {"scl": np.uint8([12, 255, 4, 255])})
    with pytest.raises(MaskError, match="give one shape"):
        masks.decode("clm", {"clm": scl, "mg2": np.uint8([1, 2])})
    with pytest.raises(MaskError, match="float64"):
        masks.decode("scl", {"scl": np.array([4.0])})
    with pytest.raises(MaskError, match="beyond uint8"):
        masks.decode("scl", {"scl": np.int16([-1])})


def test_other_integer_types_are_read_where_the_numbers_fit():
    assert masks.decode("scl", {"scl": np.int16([8, 4])}).tolist() == [2, 1]
    assert masks.decode("clm", {"clm": np.uint8([0]), "edg": np.array([True])}).tolist() == [0]


def test_classes_go_where_they_are_asked_to():
    out = np.full((1, 3), 9, "uint8")
    assert masks.decode("scl", {"scl": np.uint8([[4, 8, 0]])}, out=out) is out
    assert out.tolist() == [[1, 2, 0]]
    given_arrays = {key: np.zeros((1, 3), "uint8") for key in ("clm", "mg2", "edg")}
    assert masks.decode("clm", given_arrays, out=out).tolist() == [[1, 1, 1]]
    assert masks.decode("s2cloudless-prob", {"s2cloudless_prob": np.ones((1, 3))}, out=out) is out
    for wrong in (
        np.zeros(3, "uint8"),
        np.zeros((1, 3), "int8"),
        np.zeros((1, 6), "uint8")[:, ::2],
    ):
        with pytest.raises(MaskError, match="give contiguous uint8"):
            masks.decode("scl", {"scl": np.uint8([[4, 8, 0]])}, out=wrong)


def test_nothing_is_decoded_to_nothing():
    assert masks.decode("scl", {"scl": np.zeros((0, 4), "uint8")}).shape == (0, 4)


# Grids and fractions


def test_to_10m_repeats():
    assert masks.to_10m(np.uint8([[1, 2]])).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]


@pytest.mark.parametrize(
    ("four", "expected"),
    [
        ([1, 1, 1, 1], 1),
        ([1, 1, 1, 2], 2),
        ([3, 2, 5, 6], 2),
        ([3, 4, 1, 1], 3),
        ([4, 5, 6, 1], 4),
        ([5, 6, 1, 1], 5),
        ([1, 6, 1, 1], 6),
        ([0, 0, 0, 1], 1),
        ([0, 0, 0, 3], 3),
        ([0, 0, 0, 0], 0),
    ],
)
def test_to_20m_by_case(four, expected):
    assert masks.to_20m(np.array(four, "uint8").reshape(2, 2)).tolist() == [[expected]]


@given(arrays("uint8", (2, 4, 6), elements=st.integers(0, 6)))
def test_there_and_back_is_the_same(drawn):
    np.testing.assert_array_equal(masks.to_20m(masks.to_10m(drawn)), drawn)
    sixty = masks.to_grid(masks.to_grid(drawn, 60, 20), 20, 60)
    np.testing.assert_array_equal(sixty, drawn)


def test_grids_that_do_not_fit_are_refused():
    with pytest.raises(MaskError, match="3 x 4 pixels of 10 m"):
        masks.to_20m(np.zeros((3, 4), "uint8"))
    with pytest.raises(MaskError, match="use a multiple"):
        masks.to_grid(np.zeros((3, 4), "uint8"), 20, 30)


def test_fractions_are_of_what_was_observed():
    found = masks.fractions(np.uint8([[0, 0, 1, 1], [2, 4, 5, 6], [3, 1, 1, 1]]))
    assert found["no_observation"] == pytest.approx(100 * 2 / 12)
    assert found["clear"] == pytest.approx(50)
    assert found["cloud_shadow"] == found["snow"] == found["water"] == pytest.approx(10)
    assert found["cloud_cover"] == pytest.approx(20)
    seen = [share for name, share in found.items() if name not in ("no_observation", "cloud_cover")]
    assert sum(seen) == pytest.approx(100)


def test_fractions_of_nothing_observed():
    found = masks.fractions(np.zeros((2, 2), "uint8"))
    assert found.pop("no_observation") == 100
    assert set(found.values()) == {0.0}


# Real rasters


@pytest.mark.shared
def test_a_real_scl(shared):
    paths = sorted((shared / "s2-l2a-31UES").rglob("*SCL*.tif*"))
    assert paths
    with rasterio.open(paths[0]) as file:
        scl = file.read(1)
    decoded = masks.decode("scl", {"scl": scl})
    np.testing.assert_array_equal(decoded, np.vectorize(slow_scl, otypes=["uint8"])(scl))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("date", "snow", "cloud"),
    [("20180422", 4000, 11341), ("20180512", 800, 31225), ("20180530", 2400, 16961)],
)
def test_maja_rasters_without_an_edge(shared, date, snow, cloud):
    (folder,) = (shared / "wasp-reference" / "l2a").glob(f"*_{date}-*")
    given_arrays = {}
    for key in ("clm", "mg2"):
        (path,) = (folder / "MASKS").glob(f"*_{key.upper()}_R1.tif")
        with rasterio.open(path) as file:
            given_arrays[key] = file.read(1)
    decoded = masks.decode("clm", given_arrays)
    expected = np.vectorize(slow_clm, otypes=["uint8"])(given_arrays["clm"], given_arrays["mg2"])
    np.testing.assert_array_equal(decoded, expected)
    counts = np.bincount(decoded.ravel(), minlength=7)
    assert counts.tolist() == [0, 480 * 480 - 4000 - snow - cloud, cloud, 0, 0, snow, 4000]
    assert masks.contradictions("clm", given_arrays) == 0
