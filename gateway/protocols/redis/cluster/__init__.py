"""A Redis Cluster as one server: clients see one node that has all slots, commands go to whoever has them.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/. Replicas are not read from.
"""
