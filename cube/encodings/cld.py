"""CLD, the cloud raster of MAJA's native (EarthExplorer) format: CLM's tests in another order."""

from cube.encodings._declaration import Bit, Encoding, Implication
from cube.encodings._maja import CloudBits

_RULE = CloudBits(summary=0, clouds=(1, 4, 5, 7), shadows=(2, 3), thinnest=6)

ENCODINGS = (
    Encoding(
        name="cld",
        title="MAJA cloud mask (native format CLD)",
        dtype="uint8",
        reads=("cld",),
        resolution=10,
        source="MAJA 4.2, order in which the native writer stacks its cloud rasters",
        bits=(
            Bit(0, "clouds_or_shadows", "all clouds except the thinnest, or any shadow"),
            Bit(1, "all_clouds", "all clouds except the thinnest"),
            Bit(2, "shadow", "shadow of a cloud that was detected in the image"),
            Bit(3, "shadow_from_outside", "shadow of a cloud that lies outside the image"),
            Bit(4, "cloud_one_date", "cloud found on this date alone (thresholds)"),
            Bit(5, "cloud_many_dates", "cloud found by comparison with earlier dates"),
            Bit(6, "thinnest_clouds", "thinnest clouds"),
            Bit(7, "high_cloud", "high cloud found at 1.38 µm"),
        ),
        classify_value=_RULE.classify,
        implications=(Implication((4, 5, 7), summary=1), Implication((1, 2, 3), summary=0)),
    ),
)
