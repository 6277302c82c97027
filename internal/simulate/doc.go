// Package simulate holds no product code: its tests search for what could lose
// a refresh token or let an application meet a dead one. They run the real runner over
// the real SDK against strict fakes on one injected clock, break every call in
// every way, and let virtual months pass. docs/reliability.md lists them.
package simulate
