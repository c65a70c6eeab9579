"""The ledger: the only writer of money. Settles usage events, owns accounts, keys and prices."""
