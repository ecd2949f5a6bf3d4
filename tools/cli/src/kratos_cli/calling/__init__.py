"""What ``kratos call`` is made of: definitions, names, JSON in and out, the call itself."""
