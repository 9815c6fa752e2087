# METADATA
# title: Guards
# description: |
#   The place where guards are found: `guards/<category>/<guard>/`. A guard objects with `deny contains {"code": …}`;
#   it may say `applies := false` for a database that it has nothing to say about. Those that are shipped
#   are off until a resource of kind `guard` switches them on; a team's own folder brings more.
# scope: subpackages
# schemas:
#   - input: schema["input.query"]
package gateway.guards
