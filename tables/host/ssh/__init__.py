"""sshd's configuration, and the keys that it accepts."""
