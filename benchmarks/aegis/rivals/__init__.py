"""Who is measured: a module each, with ``loops`` to be timed and ``keepers`` to be weighed."""
