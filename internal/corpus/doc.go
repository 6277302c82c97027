// Package corpus holds what real servers answered, as public reports and
// documentation have it, and what Evertoken must make of it. Each entry of
// testdata is one report: a connection, a credential, the server's answers byte
// for byte, and the right outcome of each run over the real runner, the real
// store and real sockets. One more report is one more entry; see README.md
// there. The package has tests only.
package corpus
