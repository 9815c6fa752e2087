#!/bin/sh
# Everything a change of the policies must pass: form, types against the schemas, tests with full coverage, lint,
# and that a misspelt field of the input is found by the types.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
opa=$("$python" -m gateway.policy.install opa)
regal=$("$python" -m gateway.policy.install regal)

unformatted=$("$opa" fmt --list policies opa/authz)
if [ -n "$unformatted" ]; then
	"$opa" fmt --diff policies opa/authz
	echo "opa fmt would change: $unformatted" >&2
	exit 1
fi
"$opa" check --strict --schema schemas policies
"$opa" check --strict opa/authz
# One test asks many questions, and on a busy machine five seconds are few.
"$opa" test --timeout 60s policies opa/authz
# Below the threshold opa prints what is not covered, and fails.
"$opa" test --timeout 60s --threshold 100 policies opa/authz >/dev/null || {
	"$opa" test --timeout 60s --coverage --format=json policies opa/authz
	exit 1
}
"$regal" lint --config-file opa/regal.yaml policies opa/authz
"$python" -m pytest -q tests/opa
