"""Containers as their runtimes keep them on disk: one module a runtime's format, no socket and no network."""
