"""The evidence half of Aegis: the audit log's format, and the tools that verify and read it."""
