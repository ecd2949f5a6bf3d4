"""One module for each client of gRPC, as in ``rivals``; asking for a stream reads all of it."""
