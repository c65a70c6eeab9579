"""What people read: aligned, exact, nothing lost."""

from __future__ import annotations

from bytespike_cli.tables import fields, table


def test_columns_are_aligned_and_numbers_stand_right() -> None:
    rows = [
        {"name": "demo", "balance_usd": "99.999982", "id": "org_1"},
        {"name": "a longer one", "balance_usd": "7.00", "id": "org_2"},
    ]
    assert table(rows, ["name", "balance_usd"]).splitlines() == [
        "NAME          BALANCE USD",
        "demo            99.999982",
        "a longer one         7.00",
    ]


def test_nothing_is_said_to_be_nothing() -> None:
    assert table([], ["name"]) == "none"


def test_missing_values_lists_and_flags_have_a_spelling() -> None:
    row = {"quota": None, "scopes": ["inference", "manage"], "enabled": True, "ip_allow": []}
    line = table([row], ["quota", "scopes", "enabled", "ip_allow"]).splitlines()[1]
    assert line.split() == ["-", "inference,", "manage", "yes", "-"]


def test_fields_of_nested_things_are_named_by_their_path() -> None:
    answer = {"id": "org_1", "balance": {"available_usd": "1.00", "held_usd": "0.50"}}
    assert fields(answer).splitlines() == [
        "id                     org_1",
        "balance.available_usd  1.00",
        "balance.held_usd       0.50",
    ]
