package rotate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"evertoken/internal/connection"
	"evertoken/internal/exchange"
	"evertoken/internal/providers"
	"evertoken/internal/secrets"
)

// connectionTag is the tag of a secret that names its connection's parameter.
const connectionTag = "evertoken:parameter"

// role is which of a connection's documents a secret holds.
type role string

const (
	credentialRole role = "credential"
	sessionRole    role = "session"
	tokenRole      role = "token"
)

// user is a connection that names the secret, and its provider.
type user struct {
	conn     connection.Connection
	provider exchange.Provider
}

// find finds the connections that name the secret. If the secret has the tag, find reads
// only the parameter that the tag names. It reads all parameters if there is no tag, and
// for a credential, which several connections may use.
func (r *rotation) find(ctx context.Context) error {
	parameter, tagged := r.secret.Tags[connectionTag]
	if tagged {
		one, err := r.tagged(ctx, parameter)
		if err != nil {
			return err
		}
		found, err := r.matching(one, "in the parameter "+parameter+", which the secret's tag "+
			connectionTag+" names")
		if err != nil || found != credentialRole {
			return err
		}
	}
	all, err := r.Parameters.ByPath(ctx, r.Config.ConnectionsPath)
	if err != nil {
		return r.aws("connections", r.Config.ConnectionsPath, err)
	}
	parameters := make([]connection.Parameter, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parameters = append(parameters, connection.Parameter{
			Name: name, Value: all[name].Value, Secure: all[name].Secure,
		})
	}
	found, err := r.matching(parameters, "under "+r.Config.ConnectionsPath)
	if err != nil || found != credentialRole {
		return err
	}
	return r.alone(r.load(parameters))
}

// alone refuses a credential if another connection uses the same account with another
// credential. An account can have only a few clients, so the rotation of one credential
// would eventually delete the client of the other.
func (r *rotation) alone(declared []connection.Declared) error {
	m, err := r.manager()
	if err != nil { // the step reports it
		return nil
	}
	for _, d := range declared {
		if d.Connection.Name == "" || r.roleIn(d.Connection) != "" {
			continue
		}
		provider, err := r.Provider(d.Connection)
		if err != nil {
			continue
		}
		other, ok := provider.(providers.ClientManager)
		if ok && other.Account() == m.Account() {
			return r.misconfigured(
				fmt.Sprintf("connections %s and %s name the same account (%s) with different "+
					"credentials: the rotation of one would end the client of the other",
					m.conn.Name, d.Connection.Name, m.Account()),
				fmt.Sprintf("Let both use one credential (\"credential\": \"%s\"), "+
					"or give each an account of its own.", r.name))
		}
	}
	return nil
}

func (r *rotation) load(parameters []connection.Parameter) []connection.Declared {
	return connection.Load(parameters, connection.Rules{
		Path: r.Config.ConnectionsPath, ParameterPrefix: r.Config.ParameterPrefix,
		Region:  r.Config.Region,
		Account: connection.AccountIn(r.event.SecretID),
	})
}

// tagged reads the parameter that the secret's tag names. It must be a connection's
// parameter: the right to tag a secret must not become a right to have any parameter read.
func (r *rotation) tagged(ctx context.Context, name string) ([]connection.Parameter, error) {
	if !strings.HasPrefix(name, r.Config.ConnectionsPath) {
		return nil, r.misconfigured("the secret's tag "+connectionTag+" names no parameter under "+
			r.Config.ConnectionsPath, r.correctTag())
	}
	value, err := r.Parameters.Get(ctx, name)
	switch secrets.ErrorKind(err) {
	case secrets.NoError:
		return []connection.Parameter{{Name: name, Value: value.Reveal()}}, nil
	case secrets.ErrNotFound:
		return nil, r.misconfigured("the parameter "+name+", which the secret's tag "+connectionTag+
			" names, does not exist", r.correctTag())
	}
	return nil, r.aws("parameter", name, err)
}

// correctTag is the hint for a tag that names the wrong parameter.
func (r *rotation) correctTag() string {
	return "Correct the tag, or remove it, and Evertoken searches all connections: " +
		"`aws secretsmanager untag-resource " +
		"--secret-id " + r.name + " --tag-keys " + connectionTag + "`."
}

// matching keeps those of the declared connections that name the secret, and the role in
// which they name it. where says where they are declared.
func (r *rotation) matching(parameters []connection.Parameter, where string) (role, error) {
	declared := r.load(parameters)
	r.users, r.role = nil, ""
	var faulty []string
	var intruder error // of a connection that cannot use the secret; the others go on
	for _, d := range declared {
		if d.Err != nil && d.Connection.Name == "" { // which secrets it names is not known
			faulty = append(faulty, d.Err.Error())
			continue
		}
		found := r.roleIn(d.Connection)
		switch {
		case found == "":
			continue
		case d.Err != nil:
			if intruder == nil {
				intruder = r.misconfigured(d.Err.Error(), connection.Correct(d.Parameter))
			}
			continue
		case r.role != "" && r.role != found:
			return "", r.misconfigured(
				fmt.Sprintf("the secret is the %s of connection %s and the %s of connection %s",
					r.role, r.users[0].conn.Name, found, d.Name),
				"Give each document a secret of its own. "+connection.Correct(d.Parameter))
		}
		provider, err := r.Provider(d.Connection)
		if err != nil { // it gets no token in any case, and must not stop the others
			if intruder == nil {
				intruder = r.misconfigured(err.Error(), connection.Correct(d.Parameter))
			}
			continue
		}
		r.role = found
		r.users = append(r.users, user{d.Connection, provider})
	}
	switch {
	case r.role != "":
		slices.SortFunc(r.users, func(a, b user) int { return cmp.Compare(a.conn.Name, b.conn.Name) })
		return r.role, nil
	case intruder != nil:
		return "", intruder
	case len(faulty) > 0:
		return "", r.misconfigured("no connection "+where+" names this secret, but some cannot be "+
			"read: "+strings.Join(faulty[:min(len(faulty), 3)], "; "),
			"Correct them. `evertoken status` lists them all.")
	}
	return "", r.refused("no connection "+where+" names this secret, "+
		"so it is not Evertoken's to rotate",
		"Declare it in a connection, set another rotation function, or turn the rotation off: "+
			cancelCommand(r.name)+".")
}

// roleIn is the role of the secret in a connection, or "" if the connection does not name it.
func (r *rotation) roleIn(c connection.Connection) role {
	for _, d := range []struct {
		role role
		id   string
	}{{credentialRole, c.Credential}, {sessionRole, c.Session}, {tokenRole, c.Token}} {
		if c.SameSecret(d.id, r.secret.ARN) {
			return d.role
		}
	}
	return ""
}
