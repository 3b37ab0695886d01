"""Tables about sockets and what is at their other end."""
