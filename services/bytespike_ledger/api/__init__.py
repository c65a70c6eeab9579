"""HTTP in, values out: the ledger's API behind the edge. No money logic lives here."""
