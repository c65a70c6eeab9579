"""Starts the ledger: ``python -m bytespike_ledger``."""

from bytespike_ledger.app import amain
from bytespike_ledger.settings import LedgerSettings
from bytespike_runtime.service import main

main("ledger", LedgerSettings, amain)
