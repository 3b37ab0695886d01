"""Tables about the running kernel."""
