"""From files on disk to descriptors, and from generated files back to disk."""
