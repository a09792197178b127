"""The gateway half of Aegis: one gate between an MCP host and its servers."""
