"""One module for each client: ``SUBJECTS`` names what opens it, as a context of its cases."""
