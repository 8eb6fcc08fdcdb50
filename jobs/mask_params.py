"""What a user may ask of masks that are found along time."""

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from catalog.items import NAME
from cube.detectors import detectors
from cube.errors import MaskError
from cube.mtcd import TITLE
from cube.mtcd.params import MtcdParams
from jobs.errors import RequestError, fault
from jobs.job import TileParams

MTCD = "mtcd"
"""The method that goes from date to date; the others take each pixel's series at once."""


class CloudMaskParams(TileParams):
    """Request of the job ``cloud-mask``."""

    method: str = Field(description=f"{', '.join([*(d.name for d in detectors()), MTCD])}.")
    datetime: str | None = Field(None, description="Dates to mask, STAC datetime; default all.")
    level: Literal["l2a", "maja", "l1c"] | None = Field(
        None, description="Level of the cube: l2a, maja or l1c; default what is catalogued."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of the method, e.g. window=24 of tsmask."
    )
    skip_corrupt: bool = Field(
        False, description="Leave out scenes that cannot be read; the items name them."
    )
    name: str | None = Field(None, description="Variant: outputs stand beside the default ones.")

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in methods():
            raise ValueError(f"choose one of {' '.join(methods())}")
        return value

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not NAME.fullmatch(value):
            raise ValueError("a variant holds A-Z a-z 0-9 . - only")
        return value

    def settings(self) -> BaseModel:
        """Parameters of the method, checked: ``RequestError`` names the first that cannot be."""
        try:
            return methods()[self.method].model_validate(dict(self.options))
        except ValidationError as error:
            raise RequestError(f"{self.method}: {fault(error)}") from None
        except MaskError as error:
            raise RequestError(str(error)) from None


def methods() -> dict[str, type[BaseModel]]:
    """Every method by name, with its parameters."""
    return {name: params for name, _, params in described_methods()}


def described_methods() -> list[tuple[str, str, type[BaseModel]]]:
    """Every method: name, title, parameters."""
    return [*((d.name, d.title, d.params) for d in detectors()), (MTCD, TITLE, MtcdParams)]
