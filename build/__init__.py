"""What makes the deliverables below dist/: one module each, run as `python -m build.<module>`; `make dist` runs them all."""
