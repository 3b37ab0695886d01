"""The host's files: bounded reads below a root, their status and marks, mounts, and walks."""
