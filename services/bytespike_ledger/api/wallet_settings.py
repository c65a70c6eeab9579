"""Thresholds of a wallet as the API reads and shows them."""

from __future__ import annotations

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import format_usd
from bytespike_ledger.accounts.bonus import LARGEST_CHECKOUT_UUSD, SMALLEST_CHECKOUT_UUSD
from bytespike_ledger.api.wire import Amount, Request, Usd, read_usd
from bytespike_ledger.store.wallet_settings import WalletSettings

__all__ = ["WalletSettingsRequest", "WalletSettingsView", "read_purchase", "settings_view"]

#: Providers count in cents.
_CENT_UUSD = 10_000


class AutoTopUpRequest(Request, frozen=True, kw_only=True):
    """Below ``below_usd`` an event asks for a purchase of ``usd``."""

    below_usd: Amount
    usd: Amount


class WalletSettingsRequest(Request, frozen=True, kw_only=True):
    """A threshold of 0 and an ``auto_top_up`` of null mean off."""

    low_balance_threshold_usd: Amount
    auto_top_up: AutoTopUpRequest | None

    def read(self) -> WalletSettings:
        """In micro-USD, checked. Raises ``GatewayError`` naming the field."""
        low = read_usd(self.low_balance_threshold_usd, param="low_balance_threshold_usd")
        if self.auto_top_up is None:
            return WalletSettings(low_balance_uusd=low)
        return WalletSettings(
            low_balance_uusd=low,
            auto_top_up_below_uusd=read_usd(
                self.auto_top_up.below_usd, param="auto_top_up.below_usd", least_uusd=1
            ),
            auto_top_up_uusd=read_purchase(self.auto_top_up.usd, param="auto_top_up.usd"),
        )


class AutoTopUp(msgspec.Struct, frozen=True, kw_only=True):
    """What to buy, and below which balance."""

    below_usd: Usd
    usd: Usd


class WalletSettingsView(msgspec.Struct, frozen=True, kw_only=True):
    """``low_balance_flagged`` = the balance was below the threshold when last looked at."""

    low_balance_threshold_usd: Usd
    low_balance_flagged: bool
    auto_top_up: AutoTopUp | None


def settings_view(settings: WalletSettings) -> WalletSettingsView:
    """Settings for the wire."""
    auto = None
    if settings.auto_top_up_uusd:
        auto = AutoTopUp(
            below_usd=Usd(settings.auto_top_up_below_uusd), usd=Usd(settings.auto_top_up_uusd)
        )
    return WalletSettingsView(
        low_balance_threshold_usd=Usd(settings.low_balance_uusd),
        low_balance_flagged=settings.low_balance_flagged,
        auto_top_up=auto,
    )


def read_purchase(value: msgspec.Raw, *, param: str) -> int:
    """An amount that customers can buy: whole cents within the bounds. Else 400."""
    amount_uusd = read_usd(value, param=param, least_uusd=SMALLEST_CHECKOUT_UUSD)
    if amount_uusd > LARGEST_CHECKOUT_UUSD or amount_uusd % _CENT_UUSD:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            f"expected {format_usd(SMALLEST_CHECKOUT_UUSD)} to"
            f" {format_usd(LARGEST_CHECKOUT_UUSD)} USD in whole cents",
            param=param,
        )
    return amount_uusd
