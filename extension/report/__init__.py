"""A finished triage in the forms people and programs read."""
