"""What a server lets others do."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from catalog.items import clearcube_version


class ServerSettings(BaseSettings):
    """Read from the environment, e.g. ``CLEARCUBE_API_TOKEN``."""

    model_config = SettingsConfigDict(env_prefix="CLEARCUBE_API_", extra="ignore")

    token: SecretStr = Field(
        SecretStr(""),
        description="Who gives it as Bearer may write; without one nobody may.",
    )
    max_body: int = Field(16 << 20, ge=1024, description="Bytes of the largest body that is read.")
    origins: list[str] = Field(
        ["*"], description="Web pages that may read answers, as STAC APIs let them."
    )
    title: str = Field("clearcube", description="Title of the landing page.")
    description: str = Field(
        "Sentinel-2 scenes, time cubes, cloud masks and monthly syntheses.",
        description="Description on the landing page.",
    )
    version: str = Field(default_factory=clearcube_version, description="Version shown.")
