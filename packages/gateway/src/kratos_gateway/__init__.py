"""An API gateway for Kratos services, configured as Go's gateway."""
