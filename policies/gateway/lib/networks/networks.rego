# METADATA
# title: Networks that a client may come from
# description: CIDR notation, or one address. `compile` reads them when data is published.
package gateway.lib.networks

# METADATA
# title: The networks as decisions read them
compile(values) := [network | some value in values; network := _network(value)]

# METADATA
# title: What is wrong with a list of networks
mistakes(values) := {"a list of networks such as 10.0.0.0/8 is expected"} if {
	not _are_networks(values)
} else := {sprintf("%q is no network such as 10.0.0.0/8", [value]) |
	some value in values
	not _network(value)
}

_are_networks(values) if {
	is_array(values)
	count(values) > 0
	every value in values {
		is_string(value)
	}
}

_network(value) := value if {
	contains(value, "/")
	net.cidr_is_valid(value)
} else := _host(value) if not contains(value, "/")

# An address as the network that it is alone in; undefined for what is no address.
_host(address) := network if {
	some width in ["/32", "/128"]
	_fits(address, width)
	network := concat("", [address, width])
	net.cidr_is_valid(network)
}

_fits(address, "/32") if not contains(address, ":")

_fits(address, "/128") if contains(address, ":")

# METADATA
# title: The address can be read
is_address(address) if _host(address)

# METADATA
# title: The address lies in one of the networks
# description: One that cannot be read lies in none.
within(networks, address) if {
	is_address(address)
	some network in networks
	net.cidr_contains(network, address)
}
