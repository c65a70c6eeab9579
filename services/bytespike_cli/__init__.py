"""The `bytespike` command: runs, manages and checks a gateway; owns the simulator.

It starts services as processes and talks to them over HTTP like anybody else; it imports none.
"""
