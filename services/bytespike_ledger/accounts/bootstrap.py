"""First set-up: an organisation, its owner, and the key the owner makes everything else with.

What is there already is left alone and answered, what is missing is made. So a call that was cut
short is repeated until it is through, and one too many changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from bytespike_contracts.catalogue import Catalogue
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import Operator, Role
from bytespike_ledger.accounts.key_rules import NEW_KEY
from bytespike_ledger.accounts.keys import create_key
from bytespike_ledger.accounts.members import add_member
from bytespike_ledger.accounts.orgs import create_org
from bytespike_ledger.books import Books
from bytespike_ledger.store import Lock, connection, try_lock
from bytespike_ledger.store.accounts import OrgRow, named_org
from bytespike_ledger.store.keys import KeyRow, manage_key_of
from bytespike_ledger.store.people import MemberRow, oldest_owner

__all__ = ["Bootstrapped", "bootstrap"]

_TIER = "enterprise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrapped:
    """``secret`` is the key's, None unless it was made by this very call."""

    org: OrgRow
    owner: MemberRow
    key: KeyRow
    secret: str | None


async def bootstrap(
    books: Books, catalogue: Catalogue, who: Operator, *, org_name: str, email: str, name: str
) -> Bootstrapped:
    """The organisation of this name with an owner and a ``manage`` key of theirs.

    409 while another call is at it.
    """
    async with connection(books.pool) as conn, try_lock(conn, Lock.BOOTSTRAP) as mine:
        if not mine:
            raise GatewayError(ErrorCode.CONFLICT, "another bootstrap is under way")
        org = await named_org(conn, org_name) or await create_org(
            books, who, name=org_name, tier=_TIER, concurrency=None
        )
        owner = await oldest_owner(conn, org.id) or await add_member(
            books, who, org.id, email=email, name=name, role=Role.OWNER, caps={}
        )
        key = await manage_key_of(conn, owner.id)
        if key is not None:
            return Bootstrapped(org=org, owner=owner, key=key, secret=None)
        made = await create_key(
            books,
            catalogue,
            org.account_id,
            custom_key=None,
            controls={**NEW_KEY, "name": "bootstrap", "scopes": ["manage"]},
            who=who,
            member_id=owner.id,
        )
    return Bootstrapped(org=org, owner=owner, key=made.row, secret=made.secret)
