"""The audit log as the gateway writes it."""
