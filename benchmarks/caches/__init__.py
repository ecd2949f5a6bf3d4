"""What is kept in the caches that are compared."""
