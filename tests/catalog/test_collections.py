"""The collections served."""

import pystac
import pytest

from catalog.backends import open_catalog
from catalog.backends.base import Counts
from catalog.collections import (
    RAW,
    cloud_mask_collection,
    collection_document,
    publish,
    synthesis_collection,
    widened,
)
from catalog.errors import BackendError, CatalogError
from catalog.items import EXTENSIONS
from catalog.search import Query
from catalog.testing import make_item

EVERY = [*RAW, "dem", "cubes", "cloud-mask-scl", "synthesis-wasp", "sentinel-s2-l2a-cogs"]


@pytest.mark.parametrize("name", EVERY)
def test_every_collection_is_valid(name):
    document = collection_document(name, [make_item()])
    assert pystac.Collection.from_dict(document).id == name
    assert document["title"]
    assert document["description"]
    from pystac.stac_object import STACObjectType
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    JsonSchemaSTACValidator().validate(document, STACObjectType.COLLECTION, "1.1.0", [])


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("dem", EVERY[-1])])
def test_copernicus_is_named(name):
    document = collection_document(name)
    said = " ".join(one.get("description", "") for one in document["providers"])
    assert "Contains modified Copernicus Sentinel data" in said
    assert [link["rel"] for link in document["links"]] == ["license"]


def test_instrument_and_publications_are_named():
    masks = collection_document("cloud-mask-mtcd")
    said = {name: masks["summaries"][name] for name in ("constellation", "instruments")}
    assert said == {"constellation": ["sentinel-2"], "instruments": ["msi"]}
    assert [each["doi"] for each in masks["sci:publications"]] == ["10.1016/j.rse.2010.03.002"]
    assert EXTENSIONS["sci:"] in masks["stac_extensions"]
    months = collection_document("synthesis-wasp")
    assert [each["doi"] for each in months["sci:publications"]] == [
        "10.1016/j.rse.2016.01.023",
        "10.1016/j.rse.2017.06.019",
    ]
    red = {"name": "B04", "common_name": "red", "center_wavelength": 0.665}
    bands = collection_document("cubes")["summaries"]["eo:bands"]
    assert len(bands) == 10
    assert {**red, "full_width_half_max": 0.031} in bands
    for name in ("dem", "sentinel-s2-l2a-cogs"):
        assert not {"summaries", "sci:publications"} & set(collection_document(name))


def test_names_by_method():
    assert cloud_mask_collection("scl") == "cloud-mask-scl"
    assert synthesis_collection("wasp") == "synthesis-wasp"
    assert collection_document("synthesis-wasp")["title"] == "Syntheses: wasp"
    for name in ("", "a_b", "a/b"):
        with pytest.raises(CatalogError, match="its name holds"):
            cloud_mask_collection(name)


def test_assets_of_items():
    assert "cirrus" in collection_document("sentinel-2-l1c")["item_assets"]
    l2a = collection_document("sentinel-2-l2a")["item_assets"]
    assert "cirrus" not in l2a
    assert l2a["nir08"]["gsd"] == 20
    assert set(collection_document("cloud-mask-clm")["item_assets"]) == {
        "mask",
        "bits",
        "thumbnail",
    }


def test_summaries_and_renderings_name_what_items_have():
    synthesis = collection_document("synthesis-wasp")
    assert synthesis["summaries"]["gsd"] == [10, 20]
    assert synthesis["summaries"]["processing:level"] == ["L3A"]
    assert collection_document("sentinel-2-l2a")["summaries"]["gsd"] == [10, 20, 60]
    assert not {"coastal", "nir09", "cirrus"} & set(synthesis["item_assets"])
    for name, way in synthesis["renders"].items():
        assert set(way["assets"]) <= set(synthesis["item_assets"]), name
        assert len(way["rescale"]) in (1, len(way["assets"])), name
    assert [uri.split("/")[3] for uri in synthesis["stac_extensions"]] == [
        "eo",
        "processing",
        "scientific",
        "render",
    ]
    assert collection_document("dem")["stac_extensions"] == []


def test_extent_is_that_of_the_items():
    document = collection_document("cubes")
    assert document["extent"]["temporal"]["interval"] == [[None, None]]
    one = make_item(bbox=(4, 50, 5, 51))
    two = make_item(bbox=(3, 49, 4, 50), datetime="2018-01-01T00:00:00Z")
    document = widened(document, [one, two])
    assert document["extent"] == {
        "spatial": {"bbox": [[3, 49, 5, 51]]},
        "temporal": {"interval": [["2018-01-01T00:00:00Z", "2019-05-12T10:50:31Z"]]},
    }
    assert widened(document, [one]) == document
    assert widened(document, []) == document
    across = widened(document, [make_item(bbox=(179, -17, -179, -16))])
    assert across["extent"]["spatial"]["bbox"] == [[-180, -17, 180, 51]]


def test_publish_makes_and_widens_collections(tmp_path):
    with open_catalog(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        items = [make_item("a", collection="cubes"), make_item("b")]
        assert publish(catalog, items) == Counts(created=2)
        assert publish(catalog, items) == Counts(unchanged=2)
        assert [one["id"] for one in catalog.collections()] == ["cubes", "sentinel-2-l2a"]
        publish(catalog, [make_item("c", datetime="2020-01-01T00:00:00Z")])
        interval = catalog.collection("sentinel-2-l2a")["extent"]["temporal"]["interval"]
        assert interval == [["2019-05-12T10:50:31Z", "2020-01-01T00:00:00Z"]]
        assert catalog.search(Query()).matched == 3


def test_publish_refuses_bad_items_whole(tmp_path):
    with open_catalog(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        with pytest.raises(CatalogError):
            publish(catalog, [make_item("a"), make_item("b/c")])
        assert catalog.search(Query()).matched == 0
        assert not isinstance(catalog, BackendError)
