"""The operator's indicator lists: imported from the formats that feeds come in, kept up to date, resolved and checked."""
