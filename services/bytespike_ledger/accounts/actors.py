"""Who is asking, and what their role allows: the one table of roles and permissions. Pure.

A caller is an API key. What it may do follows from two things: its scope (an inference key sees
its own data and changes nothing) and the role of the member it belongs to. Keys that belong to no
member were made by the platform's operators for the account and act as its owner; so does every
key of an individual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bytespike_contracts.errors import ErrorCode, GatewayError

__all__ = ["ROLES", "ROOT", "Actor", "Operator", "Permission", "Role"]


class Role(StrEnum):
    """What a member is to an organisation."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Permission(StrEnum):
    """One thing a caller may do (closed set; shown in the API reference).

    ``*_own`` covers what belongs to the caller's own member (for a key of no member: the account's
    own things); ``*_all`` the whole account.
    """

    #: The caller's own key, account, models and notifications: every key, whatever its scope.
    READ_SELF = "read_self"
    #: Marking one's notifications as read.
    WRITE_SELF = "write_self"
    READ_OWN_KEYS = "read_own_keys"
    READ_ALL_KEYS = "read_all_keys"
    WRITE_OWN_KEYS = "write_own_keys"
    WRITE_ALL_KEYS = "write_all_keys"
    READ_ALL_USAGE = "read_all_usage"
    READ_MEMBERS = "read_members"
    WRITE_MEMBERS = "write_members"
    READ_ORG = "read_org"
    WRITE_ORG = "write_org"
    READ_BILLING = "read_billing"
    WRITE_BILLING = "write_billing"
    READ_WEBHOOKS = "read_webhooks"
    WRITE_WEBHOOKS = "write_webhooks"


_OF_A_MEMBER = frozenset(
    {
        Permission.READ_SELF,
        Permission.WRITE_SELF,
        Permission.READ_OWN_KEYS,
        Permission.WRITE_OWN_KEYS,
        Permission.READ_ORG,
        Permission.READ_WEBHOOKS,
        Permission.WRITE_WEBHOOKS,
    }
)
_OF_A_VIEWER = frozenset(
    {
        Permission.READ_SELF,
        Permission.WRITE_SELF,
        Permission.READ_OWN_KEYS,
        Permission.READ_ALL_KEYS,
        Permission.READ_ALL_USAGE,
        Permission.READ_MEMBERS,
        Permission.READ_ORG,
        Permission.READ_BILLING,
        Permission.READ_WEBHOOKS,
    }
)

#: The role table. Owners and admins differ in whom they may appoint: see ``members``.
ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMIN: frozenset(Permission),
    Role.MEMBER: _OF_A_MEMBER,
    Role.VIEWER: _OF_A_VIEWER,
}


#: How the audit log calls whoever has the admin token of the settings.
ROOT = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Somebody who runs the platform. ``id`` is ``root`` for the token of the settings.

    ``address`` is the client's; both go into the audit log.
    """

    id: str
    address: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A customer's key at work. ``id`` names it in the audit log.

    ``member_id`` and ``user_id`` are None for keys that belong to nobody in particular;
    ``org_id`` is None for individuals. ``manages`` = the key has the scope ``manage``.
    """

    key_id: str
    account_id: str
    org_id: str | None
    member_id: str | None
    user_id: str | None
    role: Role
    manages: bool
    group: str
    address: str
    request_id: str

    @property
    def id(self) -> str:
        """How the audit log calls it."""
        return self.key_id

    def may(self, permission: Permission) -> bool:
        """Whether role and scope allow it."""
        if permission is Permission.READ_SELF:
            return True
        return self.manages and permission in ROLES[self.role]

    def require(self, permission: Permission) -> None:
        """Raises ``GatewayError`` 403 naming what is missing."""
        if self.may(permission):
            return
        if not self.manages:
            raise GatewayError(
                ErrorCode.PERMISSION_DENIED, "this call needs a key with the scope manage"
            )
        raise GatewayError(
            ErrorCode.PERMISSION_DENIED, f"the role {self.role} does not include {permission}"
        )
