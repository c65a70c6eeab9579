"""All routes of the ledger, put together from the parts that own them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bytespike_ledger.api.audit_log import AuditLogApi
from bytespike_ledger.api.balance import BalanceApi
from bytespike_ledger.api.billing import BillingApi
from bytespike_ledger.api.bootstrap import BootstrapApi
from bytespike_ledger.api.channels import ChannelApi
from bytespike_ledger.api.groups import GroupApi
from bytespike_ledger.api.keys import KeyApi
from bytespike_ledger.api.me import MeApi
from bytespike_ledger.api.members import MemberApi
from bytespike_ledger.api.notifications import NotificationApi
from bytespike_ledger.api.office import OfficeApi
from bytespike_ledger.api.operators import OperatorApi
from bytespike_ledger.api.orgs import OrgApi
from bytespike_ledger.api.parked import ParkedApi
from bytespike_ledger.api.payments import PaymentApi
from bytespike_ledger.api.pricing import PricingApi
from bytespike_ledger.api.reconciliation import ReconciliationApi
from bytespike_ledger.api.reference import ReferenceApi
from bytespike_ledger.api.route import Route
from bytespike_ledger.api.secrets import SecretApi
from bytespike_ledger.api.usage import UsageApi
from bytespike_ledger.api.usage_summary import UsageSummaryApi
from bytespike_ledger.api.users import UserApi
from bytespike_ledger.api.wallets import WalletApi
from bytespike_ledger.api.webhooks import WebhookApi
from bytespike_ledger.audit import AuditReport
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.payments.port import PaymentProvider
from bytespike_ledger.price_list import PriceList

__all__ = ["all_routes"]


def all_routes(
    books: Books,
    catalogue: CatalogueWatch,
    *,
    audit: Callable[[], Awaitable[AuditReport]],
    rebuild: Callable[[], Awaitable[None]],
    put_back: Callable[[bytes], Awaitable[None]],
    providers: Mapping[str, PaymentProvider],
) -> list[Route]:
    """Adding an endpoint group is adding a line here."""
    routes = [
        *BalanceApi(books=books).routes(),
        *UsageApi(books=books).routes(),
        *UsageSummaryApi(books=books).routes(),
        *ReconciliationApi(books=books).routes(),
        *OrgApi(books=books).routes(),
        *MemberApi(books=books).routes(),
        *UserApi(books=books).routes(),
        *OperatorApi(books=books).routes(),
        *BootstrapApi(books=books, catalogue=catalogue).routes(),
        *AuditLogApi(books=books).routes(),
        *KeyApi(books=books, catalogue=catalogue).routes(),
        *SecretApi(books=books).routes(),
        *WalletApi(books=books).routes(),
        *GroupApi(books=books, catalogue=catalogue).routes(),
        *PricingApi(prices=PriceList(books.pool), catalogue=catalogue).routes(),
        *MeApi(books=books, catalogue=catalogue).routes(),
        *ChannelApi(books=books, catalogue=catalogue).routes(),
        *ParkedApi(books=books, put_back=put_back).routes(),
        *OfficeApi(books=books, audit=audit, rebuild=rebuild).routes(),
        *BillingApi(books=books).routes(),
        *PaymentApi(books=books, providers=providers).routes(),
        *WebhookApi(books=books).routes(),
        *NotificationApi(books=books).routes(),
    ]
    return [*routes, *ReferenceApi(described=routes).routes()]
