"""`bytespike admin`: the management API on the command line."""
