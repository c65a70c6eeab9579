"""Words between services: usage events, principals, key records, holds, the catalogue, money.

Pure by contract (no I/O beyond reading its own package data, no clock, no randomness, no drivers):
everything here can be tested with values alone, and services meet nowhere else.
"""
