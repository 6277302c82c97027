// Package keycloak holds Evertoken and its fake of Apiax against real Keycloak
// servers, since Apiax runs one (its realm's paths and answers are Keycloak's).
// The facts of facts.go are asked of the fake in every `make test` and of two
// versions of the real server in `make verify`, which also runs the built
// functions against the newer one. verify/run.sh installs both versions.
package keycloak
