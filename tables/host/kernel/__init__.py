"""The kernel's modules and settings."""
