"""The HTTP/1.1 client that carries every forwarded request: edge to services, router to vendors.

It exists because forwarding is what this product does all day, and a general client costs more
than the rest of the request. It therefore does little: keep-alive connections, one request at a
time on each, bodies as bytes in and bytes out. It must not follow redirects, decompress, keep
cookies, retry or know anything about the services that use it.

Use::

    client = HttpClient()
    origin, base_path = Origin.parse("https://api.example.com/v1")
    response = await client.request("POST", origin, f"{base_path}/messages", headers, body,
                                    connect_timeout_s=5, first_byte_timeout_s=30)
    try:
        while piece := await response.chunk(idle_timeout_s=120):
            ...
    finally:
        response.abort()  # does nothing after a clean end

A response that is neither read to its end nor aborted keeps its connection: always do one of them.
"""

from __future__ import annotations

from bytespike_runtime.http_client.client import HttpClient
from bytespike_runtime.http_client.errors import (
    BadResponse,
    BodyTooLarge,
    ClientError,
    ConnectFailed,
    FirstByteTimeout,
    IdleTimeout,
    RequestBroken,
    ResponseBroken,
)
from bytespike_runtime.http_client.origin import Origin
from bytespike_runtime.http_client.response import Headers, HttpResponse

__all__ = [
    "BadResponse",
    "BodyTooLarge",
    "ClientError",
    "ConnectFailed",
    "FirstByteTimeout",
    "Headers",
    "HttpClient",
    "HttpResponse",
    "IdleTimeout",
    "Origin",
    "RequestBroken",
    "ResponseBroken",
]
