"""Styles for QGIS say of each value what the classes say."""

from pathlib import Path

import pytest
from defusedxml import ElementTree

from cube.classes import CLASSES, STATUSES, MaskClass

FOLDER = Path(__file__).parents[1] / "deploy/qgis"


@pytest.mark.parametrize(("name", "classes"), [("mask", CLASSES), ("status", STATUSES)])
def test_a_style_has_the_colours_of_the_classes(name: str, classes: tuple[MaskClass, ...]) -> None:
    root = ElementTree.parse(FOLDER / f"{name}.qml").getroot()
    renderer = root.find("pipe/rasterrenderer")
    assert renderer.attrib["type"] == "paletted"
    assert [entry.attrib for entry in renderer.iter("paletteEntry")] == [
        {
            "value": str(each.code),
            "label": f"{each.name.replace('_', ' ')}: {each.description}",
            "color": f"#{each.hex.lower()}",
            "alpha": "255",
        }
        for each in classes[1:]  # 0 is nodata, which QGIS leaves out
    ]
