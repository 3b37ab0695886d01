"""What package managers know: who owns a file, which versions are installed and offered."""
