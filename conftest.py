"""Settings of all tests."""

# pytest names a test module by its path, so it would make up a package `aegis` out of the folder
# of that name and hide the real one; importing the real one first prevents that.
import aegis  # noqa: F401  # pyright: ignore[reportUnusedImport]
