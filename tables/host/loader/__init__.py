"""What the dynamic loader is told to load, and what programs have mapped."""
