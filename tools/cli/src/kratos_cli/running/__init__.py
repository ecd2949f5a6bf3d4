"""What ``kratos run`` is made of: which service, what changes, what is done about it."""
