"""The baseline: what this host has of the things a site may declare normal, written as a list for review or compared with one."""
