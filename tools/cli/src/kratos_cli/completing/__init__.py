"""What ``kratos completion`` is made of."""
