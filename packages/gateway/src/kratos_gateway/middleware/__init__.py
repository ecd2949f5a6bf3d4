"""Middleware of the gateway, by the name that configuration calls it."""
