"""Projects from templates: names, rendering, where templates are, and updates."""
