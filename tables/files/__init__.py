"""Tables about files: what is new on disk, and how files are marked."""
