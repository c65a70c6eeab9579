"""Plumbing under every service: settings, logs, metrics, health, serving, and the drivers.

Knows no product words (no keys, money, models or dialects): a service hands its own in. Each driver
(Redis, NATS, Postgres, HTTP) is behind exactly one module here, so that its traps are met once.
"""
