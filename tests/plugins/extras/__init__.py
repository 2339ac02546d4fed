"""What somebody adds from outside: a method, an optimizer, a stream, a sink and a family of models."""
