"""What z is: the random directions along which a forward-only optimizer looks and moves."""
