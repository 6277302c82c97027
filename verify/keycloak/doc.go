// Package keycloak compares Evertoken and its fake of Apiax with real Keycloak servers,
// since Apiax runs one (its realm's paths and answers are Keycloak's). Every `make test`
// checks the facts of facts_test.go at the fake. `make verify` checks them at two
// versions of the real server, and runs the built functions against the newer one.
// verify/run.sh installs both versions.
package keycloak
