"""Writing modules: from what is to be generated to their text."""
