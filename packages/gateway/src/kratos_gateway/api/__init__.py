"""Messages of the configuration."""
