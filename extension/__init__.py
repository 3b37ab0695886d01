"""The program around the tables: osquery extension, engines, triage, reports, command line."""

__version__ = "0.2.0"
