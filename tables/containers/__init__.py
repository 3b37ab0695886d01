"""Tables about containers."""
