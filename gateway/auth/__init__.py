"""Users, roles, tokens, logins, locks, and the store that keeps them."""
