"""The role of the public guide, as it stands there."""

SEED_ROLE = """\
kind: role
version: v7
metadata:
  name: db-access
spec:
  allow:
    db_labels:
      '*': '*'
    db_names:
      - '*'
    db_users:
      - '*'
  deny: {}
"""
