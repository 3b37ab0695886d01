"""The pack: its model, read from YAML, and what it must keep to."""
