"""The question to the policy and its answer; the sidecar that answers."""
