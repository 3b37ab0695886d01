"""The evidence of an incident in one archive, read without changing the host, with a record of every step."""
