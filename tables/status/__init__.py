"""Tables about minehunt itself."""
