"""Accounts, what sudo and PAM let them do, and the shell histories that they leave."""
