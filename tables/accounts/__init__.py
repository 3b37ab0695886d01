"""Tables about who may log in, and as whom."""
