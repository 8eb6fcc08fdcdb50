"""The four classes of CloudSEN12, which OmniCloudMask uses too."""

from cube.classes import CLEAR, CLOUD, CLOUD_SHADOW, THIN_CLOUD
from cube.encodings._declaration import Encoding, Value

_VALUES = (
    Value(0, "clear", "clear", CLEAR),
    Value(1, "thick_cloud", "thick cloud", CLOUD),
    Value(2, "thin_cloud", "thin cloud", THIN_CLOUD),
    Value(3, "cloud_shadow", "cloud shadow", CLOUD_SHADOW),
)

ENCODINGS = (
    Encoding(
        name="cloudsen12",
        title="CloudSEN12 and UnetMob",
        dtype="uint8",
        reads=("cloudsen12",),
        resolution=10,
        source="CloudSEN12 data card, label values",
        values=_VALUES,
    ),
    Encoding(
        name="omnicloudmask",
        title="OmniCloudMask",
        dtype="uint8",
        reads=("omnicloudmask",),
        resolution=10,
        source="OmniCloudMask documentation, output classes",
        values=_VALUES,
    ),
    Encoding(
        name="cd-fcnn",
        title="CD-FCNN cloud mask",
        dtype="uint8",
        reads=("cd_fcnn",),
        resolution=10,
        source="CloudSEN12 data card, CD-FCNN layers",
        values=(Value(0, "clear", "clear", CLEAR), Value(1, "cloud", "cloud", CLOUD)),
    ),
)
