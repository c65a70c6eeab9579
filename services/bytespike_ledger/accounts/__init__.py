"""Organisations, wallets and keys: what the admin API, the CLI and later the console rest on.

Functions here check their input, change Postgres in one transaction and carry the change to Redis.
They raise ``GatewayError`` for everything a caller can do wrong.
"""
