"""Metadata whatever they say: a product or one clear error, never anything else."""

import re
from xml.etree import ElementTree

import pytest

from catalog.errors import ProductError
from catalog.products import open_product, product_item
from catalog.products.xml import Document

ODD = ("", "x", "-1", "nan", "9" * 400, "0001-01-01T00:00:00+23:00")


def lighten(path):
    """Leave the angle grids out: nothing reads them, and they take the most time."""
    text = path.read_text()
    for name in ("Values_List", "Angles_Grids_List", "Viewing_Incidence_Angles_Grids"):
        text = re.sub(rf"<{name}[ >].*?</{name}>", "", text, flags=re.DOTALL)
    path.write_text(text)
    return text


def refusal(folder):
    try:
        product_item(open_product(folder))
    except ProductError as cause:
        return str(cause)
    return None


@pytest.mark.parametrize("odd", ODD, ids=["empty", "word", "negative", "nan", "huge", "ancient"])
@pytest.mark.parametrize("kind", ["MTD_MSIL1C", "MTD_TL", "MTD_ALL"])
def test_odd_text_anywhere(safe, muscate, kind, odd):
    folder = muscate() if kind == "MTD_ALL" else safe(level="L1C")
    path = next(folder.rglob(f"*{kind}.xml"))
    text = lighten(path)
    tags = {each.tag for each in ElementTree.fromstring(text).iter() if not len(each)}
    assert len(tags) > 15
    refused = set()
    for tag in sorted(tags):
        path.write_text(re.sub(rf"(<{tag}(?: [^>]*)?>)[^<]*(</{tag}>)", rf"\g<1>{odd}\2", text))
        message = refusal(folder)
        assert message is None or message.startswith(str(folder))
        assert "\n" not in (message or "")
        refused |= {tag} if message else set()
    assert refused


def test_lookup_ignores_namespaces_and_white_space():
    document = Document("here", b'<a:x xmlns:a="urn:a"><a:y>\n 4.5 \n</a:y><a:y>5</a:y></a:x>')
    assert document.root.tag == "x"
    assert document.text("absent", "y") == "4.5"
    assert document.number("y") == 4.5
    assert document.text("absent") is None
    with pytest.raises(ProductError, match="here: no absent or lost in the metadata"):
        document.need("absent", "lost")


@pytest.mark.parametrize("text", ["1.5", "inf", "one"])
def test_whole_numbers(text):
    with pytest.raises(ProductError, match=r"here: N .* is not a (whole )?number"):
        Document("here", b"<x/>").as_whole(text, "N")


def test_times_are_utc():
    document = Document(
        "here", b"<x><a>2024-01-20T10:00:00</a><b>2024-01-20T12:00:00+02:00</b></x>"
    )
    assert document.need_time("a") == document.need_time("b")
