"""The calls of the demo, and what has to come of each.

Imported when the definitions have been compiled.
"""

from kratos_cli.demo.tour.itinerary import take

__all__ = ["take"]
