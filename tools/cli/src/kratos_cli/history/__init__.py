"""What ``kratos changelog`` is made of."""
