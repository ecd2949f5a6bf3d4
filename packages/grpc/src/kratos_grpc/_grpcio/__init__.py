"""The engine of grpcio: all that knows gRPC's core, and is imported when it is chosen."""
