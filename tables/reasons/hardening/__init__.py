"""Hardening checks: what would have kept a miner out."""
