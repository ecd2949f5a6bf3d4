"""The demo: two services that find each other, called in every way, before your eyes."""
