"""Tables about installed packages."""
