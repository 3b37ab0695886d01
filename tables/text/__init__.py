"""Languages as pure functions: shell text, programs behind commands, key files, secrets, lines."""
