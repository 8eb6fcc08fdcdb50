"""What a user may ask of syntheses."""

from typing import Any

from pydantic import BaseModel, Field, ValidationError

from cube.synthesis import method
from jobs.errors import RequestError, fault
from jobs.period_params import PeriodParams


class SynthesisParams(PeriodParams):
    """What a user may ask of syntheses."""

    method: str = Field(
        "wasp",
        description="wasp (weighted mean), median, geomedian, medoid, s2gm, bap, max-ndvi or lcf.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of the method, e.g. half_window=23."
    )

    def method_params(self) -> BaseModel:
        """Parameters of the method, checked: ``RequestError`` names the one that cannot be."""
        declared = method(self.method).params
        for name in self.options:
            if name not in declared.model_fields:
                known = " ".join(declared.model_fields)
                raise RequestError(f"{self.method} has no parameter {name!r}; it has {known}")
        try:
            return declared.model_validate(self.options)
        except ValidationError as error:
            raise RequestError(f"{self.method}: {fault(error)}") from None
