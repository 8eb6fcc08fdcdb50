"""CLM, the cloud raster of MUSCATE products (MAJA), read with MG2 and EDG of the same product."""

from cube.classes import CLEAR, NO_OBSERVATION
from cube.encodings import mg2
from cube.encodings._declaration import Bit, Companion, Encoding, Implication, Options
from cube.encodings._maja import CloudBits

_RULE = CloudBits(summary=0, clouds=(1, 2, 3, 7), shadows=(5, 6), thinnest=4)


def _edge(value: int, reading: str, options: Options) -> int:
    return NO_OBSERVATION if value else CLEAR


ENCODINGS = (
    Encoding(
        name="clm",
        title="MAJA cloud mask (MUSCATE CLM)",
        dtype="uint8",
        reads=("clm", "mg2", "edg"),
        resolution=10,
        source="Theia, MUSCATE L2A product format, CLM",
        bits=(
            Bit(0, "clouds_or_shadows", "all clouds except the thinnest, or any shadow"),
            Bit(1, "all_clouds", "all clouds except the thinnest"),
            Bit(2, "cloud_one_date", "cloud found on this date alone (thresholds)"),
            Bit(3, "cloud_many_dates", "cloud found by comparison with earlier dates"),
            Bit(4, "thinnest_clouds", "thinnest clouds"),
            Bit(5, "shadow", "shadow of a cloud that was detected in the image"),
            Bit(6, "shadow_from_outside", "shadow of a cloud that lies outside the image"),
            Bit(7, "high_cloud", "high cloud found at 1.38 µm"),
        ),
        options=(mg2.ORDER,),
        classify_value=_RULE.classify,
        companions=(
            Companion("mg2", mg2.classify_ground),
            Companion("edg", _edge, outside=True),
        ),
        # Each test's raster is part of its summary before both are dilated and up-sampled alike,
        # and both operations keep set inclusion. Bit 4 may stand alone in older products.
        implications=(Implication((2, 3, 7), summary=1), Implication((1, 5, 6), summary=0)),
    ),
)
