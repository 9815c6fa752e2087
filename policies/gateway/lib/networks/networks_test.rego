package gateway.lib.networks_test

import data.gateway.lib.networks

_within(values, address) if networks.within(networks.compile(values), address)

test_addresses_lie_in_networks if {
	every case in [
		[["10.0.0.0/8"], "10.1.2.3"],
		[["192.0.2.7"], "192.0.2.7"],
		[["2001:db8::/32"], "2001:db8::1"],
		[["2001:db8::1"], "2001:db8::1"],
		[["192.0.2.7", "10.0.0.0/8"], "10.0.0.0"],
	] {
		_within(case[0], case[1])
	}
	every case in [
		[["10.0.0.0/8"], "11.1.2.3"],
		[["192.0.2.7"], "192.0.2.8"],
		[["10.0.0.0/8"], "local"],
		[["10.0.0.0/8"], ""],
		[["0.0.0.0/0"], "2001:db8::1"],
		[["0.0.0.0/0"], "1.2.3.4.5"],
		[[], "10.0.0.1"],
	] {
		not _within(case[0], case[1])
	}
}

test_mistakes_are_told_and_never_compiled if {
	networks.mistakes(["10.0.0.0/8", "::1", "192.0.2.7"]) == set()
	every bad in ["x", "10.0.0.0/33", "10.0.0", "10.0.0.0/", "", "host.example.com", "::1/129", "1:2"] {
		count(networks.mistakes([bad])) == 1
		networks.compile([bad]) == []
	}
	every bad in [[], "10.0.0.0/8", [5], {}] {
		networks.mistakes(bad) == {"a list of networks such as 10.0.0.0/8 is expected"}
	}
}
