"""What is recorded of logins: log lines, journals, utmp."""
