"""Tables about how well the host is protected (SOP step 18)."""
