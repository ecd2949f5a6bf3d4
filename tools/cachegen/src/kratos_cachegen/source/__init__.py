"""Reading interfaces: from the text of a module to what is to be generated."""
