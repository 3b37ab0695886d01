"""Sockets and packet filters of every network namespace."""
