"""How network services that miners come in by let clients in."""
