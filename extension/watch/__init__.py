"""Whether what was found is gone, still there, or back: two triages compared, and a host watched for a while."""
