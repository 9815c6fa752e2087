"""What operators see while it runs: metrics, structured logs, and whether it is healthy."""
