"""What a statement does, as facts: pure, never raises, never guesses."""
