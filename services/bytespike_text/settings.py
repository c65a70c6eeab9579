"""What a text-router process can be told, with the reason beside every bound."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from bytespike_runtime.settings import Port, Secret, ServiceSettings

__all__ = ["TextSettings"]


class TextSettings(ServiceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the text-router (variables ``BYTESPIKE_TEXT_*``, shared ones ``BYTESPIKE_*``)."""

    port: Port = 8082
    ops_port: Port = 9082
    redis_url: Annotated[str, Meta(min_length=1, description="Redis: holds, benched channels")]
    nats_url: Annotated[str, Meta(min_length=1, description="NATS JetStream: usage events")]
    catalogue: Annotated[str, Meta(min_length=1, description="path of the catalogue (TOML)")]
    internal_token: Annotated[
        Secret, Meta(description="shared by all services; proves that a principal is ours")
    ]
    spool_dir: Annotated[
        str, Meta(min_length=1, description="folder for usage events on their way to NATS")
    ]
    # A thousand requests a second fill this in about 20 minutes without NATS.
    spool_limit_bytes: Annotated[
        int, Meta(ge=1_048_576, description="spool size from which paid requests are refused")
    ] = 1_073_741_824
    forward_headers: Annotated[
        tuple[str, ...], Meta(description="further client header names passed to the vendor")
    ] = ()
    # Proxies and SDKs give up on silence after 30 to 60 seconds.
    keepalive_s: Annotated[
        float, Meta(gt=0, le=60, description="silence on a stream that is filled with a ping")
    ] = 15.0
    bench_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="how long a channel whose credential failed is left out"),
    ] = 60.0
