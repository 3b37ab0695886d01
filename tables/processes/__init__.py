"""Tables about running processes."""
