"""The Anthropic Messages dialect: our native one."""
