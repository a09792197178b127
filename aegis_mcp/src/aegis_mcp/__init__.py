"""The gateway half of Aegis: one gate between an MCP host and its servers."""

__version__ = "0.1.0"
