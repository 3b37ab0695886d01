"""What processes and files show of mining."""
