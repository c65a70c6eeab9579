"""Which model a key means by a name, and whether it may have it. Pure but for the catalogue."""

from __future__ import annotations

from bytespike_contracts.catalogue import Catalogue, Model
from bytespike_contracts.errors import ErrorCode, GatewayError

__all__ = ["permitted_model"]

#: A name is echoed to its sender only so far.
_NAME_SHOWN = 100


def permitted_model(name: str, *, catalogue: Catalogue, group: str) -> Model:
    """The model called ``name`` (id or alias) for a key of ``group``.

    Raises :class:`GatewayError`: 404 unknown (a retired name is told its successor), 403 outside
    the group.
    """
    model = catalogue.resolve(name)
    if model is None:
        message = f"there is no model {name[:_NAME_SHOWN]!r}"
        successor = catalogue.successor(name)
        if successor is not None:
            message += f": it was retired, use {successor.id!r}"
        raise GatewayError(ErrorCode.MODEL_NOT_FOUND, message, param="model")
    if not catalogue.in_group(group, model.id):
        raise GatewayError(
            ErrorCode.MODEL_NOT_IN_GROUP,
            f"model {model.id} is not available to the group of this key",
            param="model",
        )
    return model
