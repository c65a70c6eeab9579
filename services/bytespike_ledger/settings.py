"""What the ledger can be told; read once when the process starts."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from bytespike_ledger.sealing import parse_encryption_keys
from bytespike_runtime.settings import Port, Secret, ServiceSettings

__all__ = ["LedgerSettings"]


class LedgerSettings(ServiceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ledger's settings. Intervals are seconds."""

    port: Port = 8083
    ops_port: Port = 9083
    postgres_url: Annotated[Secret, Meta(description="PostgreSQL URL; the truth about money")]
    redis_url: Annotated[Secret, Meta(description="Redis URL; the projection admission reads")]
    nats_url: Annotated[Secret, Meta(description="NATS URL; usage events arrive there")]
    internal_token: Annotated[Secret, Meta(description="what the edge proves itself with")]
    admin_token: Annotated[Secret, Meta(description="bearer token of /api/v1/admin")]
    catalogue: Annotated[str, Meta(min_length=1, description="path of the catalogue TOML")]
    encryption_keys: Annotated[
        Secret | None,
        Meta(
            description="id:base64 of 32 bytes, comma-separated, the current one first: seals keys"
            " to reveal and webhook secrets; without one neither is kept"
        ),
    ] = None
    postgres_pool: Annotated[
        int, Meta(ge=4, le=100, description="most Postgres connections of this process")
    ] = 10
    # A year and the month it takes to argue about its last bill. Below five weeks the audit could
    # not hold the widest spend window against rows, and a spool found late would be no use.
    usage_retention_days: Annotated[
        int, Meta(ge=35, le=3650, description="days that rows of single requests are kept")
    ] = 400
    audit_interval_s: Annotated[
        float, Meta(ge=1, description="pause between two audits of the books")
    ] = 60.0
    sweep_interval_s: Annotated[
        float, Meta(gt=0, le=60, description="pause between two sweeps of expired holds")
    ] = 5.0
    ghost_grace_s: Annotated[
        float,
        Meta(
            ge=0, description="how long a finished hold may wait for its event before it is let go"
        ),
    ] = 120.0
    rebuild_grace_s: Annotated[
        float,
        Meta(ge=0, description="how long routers get to put holds back after Redis was lost"),
    ] = 2.0
    auth_failures_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="wrong admin tokens a minute from one address (IPv6: one /64) that get a"
            " 401; further ones get a 429",
        ),
    ] = 20
    stripe_api_key: Annotated[
        Secret | None, Meta(description="Stripe's secret key; none = customers cannot pay by card")
    ] = None
    stripe_webhook_secret: Annotated[
        Secret | None, Meta(description="what Stripe signs its events with")
    ] = None
    stripe_return_url: Annotated[
        str, Meta(description="where customers come back to from Stripe's page")
    ] = ""
    stripe_url: Annotated[str, Meta(min_length=1, description="Stripe's API")] = (
        "https://api.stripe.com"
    )
    webhook_http_hosts: Annotated[
        tuple[str, ...],
        Meta(description="hosts webhooks may call without TLS and on any port; for development"),
    ] = ()
    webhook_allowed_networks: Annotated[
        tuple[str, ...],
        Meta(description="networks webhooks may call though they are not public; for development"),
    ] = ()

    def __post_init__(self) -> None:
        parts = (self.stripe_api_key, self.stripe_webhook_secret, self.stripe_return_url)
        if any(parts) and not all(parts):
            # A checkout whose payment nobody would hear of must not be opened.
            raise ValueError(
                "stripe_api_key, stripe_webhook_secret and stripe_return_url: set all or none"
            )
        if self.encryption_keys is not None:
            try:
                parse_encryption_keys(self.encryption_keys.reveal())
            except ValueError as error:
                raise ValueError(f"BYTESPIKE_LEDGER_ENCRYPTION_KEYS: {error}") from error
