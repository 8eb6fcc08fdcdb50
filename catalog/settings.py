"""Where the catalogue is."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CatalogSettings(BaseSettings):
    """Read from the environment: ``CLEARCUBE_CATALOG``."""

    model_config = SettingsConfigDict(env_prefix="CLEARCUBE_", extra="ignore")

    catalog: str = Field(
        "sqlite:///workspace/catalog.db",
        description="URL of the catalogue: sqlite:///PATH from here, sqlite:////PATH from the root.",
    )
