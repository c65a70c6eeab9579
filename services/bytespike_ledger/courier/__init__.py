"""From what happened to who should know: webhooks and notifications of account events."""
