"""Where money comes from: one port, an adapter for each provider."""
