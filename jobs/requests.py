"""Requests of jobs: values as given -> parameters as declared."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from jobs.errors import RequestError, fault
from jobs.job import Job


def parse_request(job: Job, request: Mapping[str, Any]) -> BaseModel:
    """Values as given -> the job's parameters; ``RequestError`` names the first that cannot be."""
    try:
        return job.params.model_validate(dict(request))
    except ValidationError as error:
        raise RequestError(f"{job.name}: {fault(error)}") from None
