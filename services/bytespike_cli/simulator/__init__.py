"""A scriptable vendor: Anthropic, OpenAI or Gemini by path, obeys faults, remembers what it saw.

It exists so that tests, the bench and ``bytespike up`` have an upstream whose every byte, delay
and failure is chosen. It must not know the gateway: nothing here imports a service or its protocol
code, so a mistake in ours cannot hide behind the same mistake in the vendor.
"""

from bytespike_cli.simulator.command import main

__all__ = ["main"]
