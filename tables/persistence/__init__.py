"""Tables about what starts programs by itself."""
