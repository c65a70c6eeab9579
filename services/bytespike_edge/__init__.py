"""The edge: who are you, may you, where to.

Stateless. Keys, limits and balances reach it as a projection in Redis; it never opens Postgres and
never speaks to a vendor.
"""
