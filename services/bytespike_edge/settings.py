"""What an edge process can be told, with the reason beside every bound."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from bytespike_runtime.settings import Port, Secret, ServiceSettings

__all__ = ["EdgeSettings"]


class EdgeSettings(ServiceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the edge (variables ``BYTESPIKE_EDGE_*``, shared ones ``BYTESPIKE_*``)."""

    port: Port = 8080
    ops_port: Port = 9080
    redis_url: Annotated[str, Meta(min_length=1, description="Redis of the projection")]
    nats_url: Annotated[str, Meta(min_length=1, description="NATS, for key invalidations")]
    catalogue: Annotated[str, Meta(min_length=1, description="path of the catalogue (TOML)")]
    internal_token: Annotated[
        Secret, Meta(description="shared by all services; proves that a principal is ours")
    ]
    text_url: Annotated[str, Meta(pattern="^https?://", description="the text-router")]
    media_url: Annotated[str, Meta(pattern="^https?://", description="the media service")]
    ledger_url: Annotated[str, Meta(pattern="^https?://", description="the ledger")]
    trusted_hops: Annotated[
        int,
        Meta(ge=0, le=16, description="proxies in front that append to X-Forwarded-For; 0 = none"),
    ] = 0
    forward_headers: Annotated[
        tuple[str, ...],
        Meta(description="further client header names passed to the services behind"),
    ] = ()
    # The largest body is 32 MiB, so the default lets sixteen of the worst kind in at once.
    in_flight_bytes: Annotated[
        int, Meta(ge=1_048_576, description="request bodies held in memory by the process")
    ] = 512 * 1_048_576
    body_timeout_s: Annotated[
        float, Meta(gt=0, description="longest time a client may take to send its body")
    ] = 120.0
    # Slower than a 2G modem for longer than the grace: nobody's uplink, but every slow-loris.
    body_min_bytes_per_s: Annotated[
        int, Meta(ge=1, description="slowest accepted upload after ten seconds")
    ] = 1_024
    connect_timeout_s: Annotated[
        float, Meta(gt=0, description="longest wait for a connection to a service behind")
    ] = 2.0
    # A non-streamed answer comes whole; the router's own deadlines are far tighter than this.
    response_timeout_s: Annotated[
        float, Meta(gt=0, description="longest wait for the first byte of a service behind")
    ] = 900.0
    # The router sends something every 15 s on a stream and gives its vendor 120 s on other bodies.
    idle_timeout_s: Annotated[
        float, Meta(gt=0, description="longest silence within a response of a service behind")
    ] = 150.0
    key_cache_size: Annotated[int, Meta(ge=1, description="key records cached in process")] = (
        100_000
    )
    key_grace_s: Annotated[
        float,
        Meta(ge=0, description="how long known keys work while the ledger cannot be verified"),
    ] = 3_600.0
    # A person mistypes a key a few times; a script that guesses needs billions of times more.
    auth_failures_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="wrong keys a minute from one address (as TRUSTED_HOPS finds it; IPv6: one"
            " /64) that get a 401; further ones get a 429",
        ),
    ] = 20
