#!/bin/sh
# What every change must pass. The last step shows that a bundle can be built of it.
set -eu
cd "$(dirname "$0")"
regate policy fmt --check
regate policy lint
regate policy test
regate policy build --output=dist/policy.tar.gz
