"""What a media process can be told; read once when it starts."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from bytespike_runtime.settings import Port, Secret, ServiceSettings

__all__ = ["MediaSettings"]


class MediaSettings(ServiceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the media service (variables ``BYTESPIKE_MEDIA_*``, shared ``BYTESPIKE_*``)."""

    port: Port = 8084
    ops_port: Port = 9084
    postgres_url: Annotated[Secret, Meta(description="PostgreSQL URL; task rows")]
    nats_url: Annotated[Secret, Meta(description="NATS URL; the work queue and usage events")]
    catalogue: Annotated[str, Meta(min_length=1, description="path of the catalogue (TOML)")]
