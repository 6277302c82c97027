// Package others runs the deployed functions against other parties' programs: AWS
// emulated by moto, SAM's build and environment, an OAuth 2 server, Sharetribe's SDKs,
// and the clients by which applications read a token. It needs what verify/run.sh sets
// up, and its tests have the build tag verify.
package others
