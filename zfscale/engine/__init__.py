"""Who answers a loss: the engine that runs forwards."""
