"""systemd's units as they are on disk: folders, syntax, commands, timers, generators."""
