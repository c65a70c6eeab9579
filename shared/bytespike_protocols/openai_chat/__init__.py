"""The OpenAI dialect (Chat Completions and the routes that share its error envelope)."""
