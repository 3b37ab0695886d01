"""Build dist/siem/: the detections as rules for each SIEM, in a language of queries and as files that the product imports."""
