"""Processes as procfs and the kernel's other views show them."""
