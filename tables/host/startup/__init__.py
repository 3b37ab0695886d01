"""Everything else that starts a program by itself: scripts, hooks, rules, autostart entries."""
