"""The host compared with the indicators: the only maker of `reasons` and `signals`."""
