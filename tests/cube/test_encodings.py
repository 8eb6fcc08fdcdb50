"""Every declared encoding: its table is total, its options hold, its classes are as documented."""

import numpy as np
import pytest

from cube import classes, masks
from cube.encodings import discover
from cube.errors import MaskError

NAMES = [each.name for each in masks.encodings()]
TABLES = [each.name for each in masks.encodings() if each.kind != "probability"]

EXPECTED = {
    "alcd", "cd-fcnn", "classi", "cld", "clm", "cloudsen12", "combined", "csmask", "edg", "fmask",
    "hls-fmask", "iab", "kappamask", "majamask", "mg2", "mtcd", "oa-fmask", "oa-s2cloudless", "omnicloudmask", "qa60",
    "qa-pixel", "s2cloudless", "s2cloudless-clp", "s2cloudless-prob", "sat", "scl", "tsmask",
}  # fmt: skip


def decode(name, *values, reading="standard", **options):
    declared = masks.encoding(name)
    main = np.array(values, dtype=declared.dtype)
    return masks.decode(name, {declared.reads[0]: main}, reading, **options).tolist()


def test_all_are_there_in_order():
    assert set(NAMES) == EXPECTED
    assert sorted(NAMES) == NAMES
    assert list(discover()) == NAMES


def test_the_classes_are_those_of_the_contract():
    assert classes.NAMES == (
        "no_observation", "clear", "cloud", "cloud_shadow", "thin_cloud", "snow", "water",
    )  # fmt: skip
    assert [each.code for each in classes.CLASSES] == list(range(7))
    assert classes.PRECEDENCE == (0, 2, 3, 4, 5, 6, 1)
    assert len(set(classes.palette().values())) == 7
    assert classes.CLASSES[2].hex == "FFFFFF"


@pytest.mark.parametrize("name", NAMES)
def test_a_declaration_is_whole(name):
    declared = masks.encoding(name)
    assert declared.title
    assert declared.source
    assert declared.reads
    assert declared.reads[1:] == tuple(each.key for each in declared.companions)
    assert bool(declared.values) + bool(declared.bits) == (declared.kind != "probability")
    for option in declared.options:
        assert option.description
        assert option.parse(name, option.default) == option.default
    codes = [each.code for each in declared.values]
    assert len(set(codes)) == len(codes)
    taken = [bit.index + i for bit in declared.bits for i in range(bit.width)]
    assert taken == sorted(set(taken))
    for rule in declared.implications:
        assert {*rule.bits, rule.summary} <= set(taken)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("reading", masks.READINGS)
def test_each_value_has_a_class_or_is_refused(name, reading):
    declared = masks.encoding(name)
    settings = declared.settings({})
    step = 1 if declared.largest == 255 else 7
    for value in range(0, declared.largest + 1, step):
        code = declared.classify(value, reading, settings)
        if code == classes.REFUSED:
            with pytest.raises(MaskError, match="no meaning"):
                masks.explain(name, value)
        else:
            assert code in range(7)
            assert masks.explain(name, value).lines


@pytest.mark.parametrize("name", TABLES)
def test_readings_differ_only_as_they_should(name):
    declared = masks.encoding(name)
    settings = declared.settings({})
    for value in range(256):
        standard, strict, clouds = (
            declared.classify(value, reading, settings)
            for reading in ("standard", "strict", "clouds-only")
        )
        if standard == classes.REFUSED:
            assert strict == clouds == classes.REFUSED
            continue
        # Strict takes away from the ground that is seen, and never gives any.
        assert (standard in classes.SEEN) >= (strict in classes.SEEN)
        # Without shadows, only shadows may become something else.
        assert clouds != classes.CLOUD_SHADOW
        assert standard == clouds or standard == classes.CLOUD_SHADOW


def test_mg2():
    bits = [1 << i for i in range(8)]
    assert decode("mg2", 0, *bits) == [1, 6, 2, 5, 3, 1, 0, 1, 1]
    assert decode("mg2", *bits[4:6], mg2_order="writer-4.2") == [0, 1]
    assert decode("mg2", *bits, reading="strict") == [6, 2, 5, 3, 3, 0, 3, 3]
    assert decode("mg2", 0b00001000, 0b00001001, reading="clouds-only") == [1, 6]
    assert decode("mg2", 0b00100111) == [0]


def test_the_native_order_is_not_that_of_clm():
    bits = [1 << i for i in range(8)]
    assert decode("cld", 0, *bits) == [1, 2, 2, 3, 3, 2, 2, 4, 2]
    assert decode("clm", 0, *bits) == [1, 2, 2, 2, 2, 4, 3, 3, 2]
    assert decode("cld", 0b00000101, 0b01000001) == [3, 2]
    assert masks.explain("cld", 0b00000101).contradictions == ()
    assert len(masks.explain("cld", 0b00010100).contradictions) == 2


def test_other_maja_rasters():
    assert decode("edg", 0, 1) == [1, 0]
    assert decode("sat", 0b000000, 0b000001, 0b100000) == [1, 0, 0]
    assert decode("iab", 0b00, 0b01, 0b10, 0b11) == [1, 1, 1, 1]
    assert decode("iab", 0b00, 0b01, 0b10, 0b11, reading="strict") == [1, 4, 4, 4]
    assert decode("majamask", *range(9)) == [1, 2, 2, 3, 5, 6, 1, 0, 1]
    with pytest.raises(MaskError, match="values without meaning"):
        decode("sat", 0b1000000)


def test_classi():
    assert decode("classi", 0b000, 0b001, 0b010, 0b100, 0b110, 0b111) == [1, 2, 4, 5, 4, 2]
    assert decode("classi", 0b10000000, 255) == [0, 0]
    with pytest.raises(MaskError, match="8 "):
        decode("classi", 0b1000)


def test_qa60_zero_says_nothing_while_the_band_was_left_empty():
    values = (0, 1 << 10, 1 << 11, 3 << 10)
    assert decode("qa60", *values, acquired="2022-01-24") == [1, 2, 4, 2]
    assert decode("qa60", *values, acquired="2022-01-25T10:50:31Z") == [0, 2, 4, 2]
    assert decode("qa60", 0, acquired="2024-02-27") == [0]
    assert decode("qa60", 0, acquired="2024-02-28") == [1]
    assert decode("qa60", *values) == [0, 2, 4, 2]
    assert decode("qa60", 0, zero="clear", acquired="2023-01-01") == [1]
    assert decode("qa60", 0, zero="unknown", acquired="2020-01-01") == [0]
    with pytest.raises(MaskError, match="acquired=May is not a date"):
        decode("qa60", 0, acquired="May")


def test_fmask_and_its_kin():
    assert decode("fmask", 0, 1, 2, 3, 4, 255) == [1, 6, 3, 5, 2, 0]
    assert decode("oa_fmask", *range(6)) == [0, 1, 2, 3, 5, 6]
    assert decode("hls-fmask", 0, *(1 << i for i in range(8)), 255) == [
        1,
        4,
        2,
        1,
        3,
        5,
        6,
        1,
        1,
        0,
    ]
    strict = decode("hls-fmask", 0b100, 0b01000000, 0b11000000, reading="strict")
    assert strict == [4, 1, 4]


def test_qa_pixel_of_the_guide():
    # Fill, clear land, clear water, cloud, shadow, snow, dilated cloud, high cirrus.
    values = (1, 21824, 21952, 22280, 23888, 30048, 21826, 54596)
    assert decode("qa_pixel", *values) == [0, 1, 6, 2, 3, 5, 2, 4]
    assert decode("qa_pixel", 21826, 22280, dilated="clear") == [1, 2]
    assert decode("qa_pixel", 21826, reading="strict", dilated="clear") == [2]
    # Medium confidence in a cloud (bits 8-9 are 2) is suspicious.
    medium = 21824 & ~0b1100000000 | 0b1000000000
    assert decode("qa_pixel", medium) == [1]
    assert decode("qa_pixel", medium, reading="strict") == [2]
    assert masks.explain("qa_pixel", 21824).contradictions == ()
    (sentence,) = masks.explain("qa_pixel", 21824 | 0b1000).contradictions
    assert "bit 6 (clear) contradicts bit 3 (cloud)" in sentence
    assert masks.contradictions("qa_pixel", {"qa_pixel": np.uint16([21824, 21832, 22280])}) == 1


def test_s2cloudless():
    assert decode("s2cloudless", 0, 1, 255) == [1, 2, 0]
    assert decode("oa_s2cloudless", 0, 1, 2) == [0, 1, 2]
    assert decode("s2cloudless-prob", 0, 0.4, 0.41, float("nan")) == [1, 1, 2, 0]
    assert decode("s2cloudless-prob", 0.5, 0.7, threshold="0.6") == [1, 2]
    assert decode("s2cloudless-clp", 0, 102, 103, 255) == [1, 1, 2, 2]
    with pytest.raises(MaskError, match="threshold=2 is no number from 0 to 1"):
        decode("s2cloudless-prob", 0.5, threshold=2)
    with pytest.raises(MaskError, match="beyond 0 to 1"):
        decode("s2cloudless-prob", 40)


def test_classes_of_the_learned_masks():
    assert decode("kappamask", *range(6)) == [0, 1, 3, 4, 2, 0]
    for name in ("cloudsen12", "omnicloudmask"):
        assert decode(name, *range(4)) == [1, 2, 4, 3]
    assert decode("cd-fcnn", 0, 1) == [1, 2]
    for name in ("tsmask", "combined", "mtcd"):
        assert decode(name, *range(7)) == [0, 1, 2, 3, 4, 5, 6]
    assert decode("alcd", *range(8)) == [0, 1, 2, 2, 3, 1, 6, 5]


def test_csmask_counts_what_is_not_valid_when_strict():
    given_arrays = {"csmask": np.uint8([0, 1, 2, 0]), "csmask_valid": np.uint8([1, 0, 0, 0])}
    assert masks.decode("csmask", given_arrays).tolist() == [1, 2, 3, 1]
    assert masks.decode("csmask", given_arrays, "strict").tolist() == [1, 0, 0, 0]
    with pytest.raises(MaskError, match="in csmask: 3"):
        masks.decode("csmask", given_arrays | {"csmask": np.uint8([0, 1, 2, 3])})
