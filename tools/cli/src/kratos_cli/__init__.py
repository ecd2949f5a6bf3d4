"""The command ``kratos``."""
