"""`make bench`: what the gateway costs, measured from outside and held against its budgets."""
