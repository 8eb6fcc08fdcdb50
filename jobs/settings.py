"""Settings of a workspace: option, environment, ``clearcube.toml``, default, in this order."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from jobs.errors import RequestError, WorkspaceError, fault

DEFAULT_WORKSPACE = Path("workspace")
TOML = "clearcube.toml"


class Settings(BaseSettings):
    """Where everything is and what computes it; made by :func:`read_settings`."""

    model_config = SettingsConfigDict(env_prefix="CLEARCUBE_", extra="ignore", frozen=True)

    workspace: Path = Field(DEFAULT_WORKSPACE, description="Directory of the workspace.")
    catalog: str = Field(
        "", description="URL of the catalogue; default catalog.db in the workspace."
    )
    store: str = Field("", description="Directory of cubes and products; default the workspace.")
    scheduler: str = Field("", description="Address of a dask scheduler; default local processes.")
    workers: int = Field(0, ge=0, description="Local worker processes; 0: one a core.")
    memory: str = Field("auto", description="Memory of a local worker, e.g. 2GiB.")

    @field_validator("memory")
    @classmethod
    def _size(cls, value: str) -> str:
        if not re.fullmatch(r"auto|\d+(\.\d+)? *[kMGT]i?B", value):
            raise ValueError("write auto, or a size such as 2GiB")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options before environment; the toml file is merged below both by ``read_settings``."""
        return (init_settings, env_settings)

    @property
    def catalog_url(self) -> str:
        """URL of the catalogue."""
        return self.catalog or f"sqlite:///{self.workspace / 'catalog.db'}"

    @property
    def store_path(self) -> Path:
        """Directory that holds cubes and products."""
        if self.store.startswith("s3://"):
            raise WorkspaceError(
                f"the store {self.store} is in a bucket; this version writes to directories only"
            )
        return Path(self.store) if self.store else self.workspace


def read_settings(**options: Any) -> Settings:
    """Options of the command line -> settings; ``RequestError`` names a value that cannot be."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        found = Settings(**given)
    except ValidationError as error:
        raise RequestError(f"setting {fault(error)}") from None
    path = found.workspace / TOML
    # What the file says counts only where neither an option nor the environment speaks.
    silent = {k: v for k, v in _toml(path).items() if k not in found.model_fields_set}
    try:
        return Settings(**{**silent, **given}) if silent else found
    except ValidationError as error:
        raise RequestError(f"{path}: {fault(error)}") from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise WorkspaceError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise RequestError(f"{path} is no TOML: {error}") from None
    known = set(Settings.model_fields) - {"workspace"}
    for name in document:
        if name not in known:
            raise RequestError(
                f"{path}: no setting is called {name!r}; there are {' '.join(sorted(known))}"
            )
    return document
